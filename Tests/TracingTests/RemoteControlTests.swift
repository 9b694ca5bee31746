import CLinux
import Diagnostics
import Foundation
import Linux
import SystemPackage
import Testing

@testable import Tracing

/// Real processes under control. ptrace(2) binds a tracee to a thread: every test is synchronous, one at a time.
@Suite(.serialized, .enabled(if: geteuid() == 0), .timeLimit(.minutes(1)))
struct RemoteControlTests {
    /// Who has asked for the end is told that, and not of the thread that was being waited for.
    @Test func theReasonOfATimeout() {
        defer { Cancellation.reset() }
        for (signal, code) in [(0, "freeze-timeout"), (SIGALRM, "freeze-timeout"), (SIGINT, "interrupted")] {
            Cancellation.request(signal: signal)
            #expect(TreeFreezer.timeout(pid: 1, tid: 1).code.rawValue == code)
        }
    }

    @Test func callsRunInTheTarget() throws {
        let child = try Child(["/bin/sleep", "1000"])
        let before = try child.maps()
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        #expect(tree.processes.count == 1)
        let control = try RemoteControl(tree.root, vdso: try child.vdso(), deadline: Deadline(seconds: 5))
        var batch = Batch()
        let pid = batch.call(Int(SYS_getpid))
        let name = batch.space(16)
        batch.call(Int(SYS_prctl), 16, .address(name))
        let duplicate = batch.call(Int(SYS_dup), 0)
        let close = batch.call(Int(SYS_close), .result(duplicate))
        let result = try control.run(batch)
        try result.check()
        #expect(result[pid] == Int64(child.pid))
        #expect(result.bytes(of: name).starts(with: Array("sleep".utf8)))
        #expect(result[duplicate] > 2)
        #expect(result[close] == 0)
        try control.release()
        tree.thaw()
        #expect(try child.maps() == before)
        try child.waitUntil { $0.sleeps() }
    }

    /// In sigsuspend(2) a thread has another mask. While it is frozen it has its own: a signal that only the call lets in
    /// waits for the call to be made again, also when Apus dies having changed nothing but the registers.
    @Test func aTemporaryMaskEndsWithTheFreeze() throws {
        let child = try Child([
            "/usr/bin/python3", "-c",
            """
            import ctypes, signal
            signal.signal(signal.SIGUSR1, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGUSR2})
            ctypes.CDLL(None).sigsuspend(bytes(128))
            """,
        ])
        let call = "/proc/\(child.pid)/syscall"
        try child.waitUntil { _ in
            (try? String(contentsOfFile: call, encoding: .utf8))?.hasPrefix("\(SYS_rt_sigsuspend) ") == true
        }
        let status = { try String(contentsOfFile: "/proc/\(child.pid)/status", encoding: .utf8) }
        #expect(try status().contains("SigBlk:\t0000000000000000\n"))
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        #expect(tree.root.threads.first?.signalMask == 0xa00)
        #expect(try status().contains("SigBlk:\t0000000000000a00\n"))
        kill(child.pid, SIGUSR1)
        tree.thaw()
        // It goes on, is woken, and comes to its end.
        try child.waitUntil { _ in (try? status())?.contains("State:\tZ") ?? true }
    }

    /// A tree larger than any that is sane is let go of, all of it.
    @Test func aTreeThatIsTooLargeRunsOn() throws {
        let child = try Child(["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; wait"])
        defer { for pid in ProcessState.children(of: child.pid, thread: child.pid) { kill(pid, SIGKILL) } }
        let limit = Deadline(seconds: 5)
        while ProcessState.children(of: child.pid, thread: child.pid).count < 12, !limit.isPast { usleep(1000) }
        let problem = #expect(throws: Problem.self) {
            _ = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5), limit: 8)
        }
        #expect(problem?.code == .freezeDiverges && problem?.object.pid == child.pid)
        for pid in [child.pid] + ProcessState.children(of: child.pid, thread: child.pid) {
            #expect(ProcessState.tracer(of: pid) == 0)
            let limit = Deadline(seconds: 5)
            while ProcessState(of: pid)?.letter != "S", !limit.isPast { usleep(1000) }
            #expect(ProcessState(of: pid)?.letter == "S", "it does not get back to its wait")
        }
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        #expect(tree.processes.count == 13)
        tree.thaw()
    }

    @Test func anUnexpectedResultEndsTheBatch() throws {
        let child = try Child(["/bin/sleep", "1000"])
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        let control = try RemoteControl(tree.root, vdso: try child.vdso(), deadline: Deadline(seconds: 5))
        var batch = Batch()
        batch.call(Int(SYS_getpid))
        let bad = batch.call(Int(SYS_close), 12345, for: "close what is not open")
        let never = batch.call(Int(SYS_dup), 0)
        let result = try control.run(batch)
        #expect(result.failedCall == bad)
        #expect(result[bad] == -9)
        #expect(result[never] == -1)
        #expect(throws: Problem.self) { try result.check() }
        // The control goes on after a failed batch.
        var next = Batch()
        next.call(Int(SYS_getpid))
        try control.run(next).check()
        try control.release()
        tree.thaw()
        try child.waitUntil { $0.sleeps() }
    }

    @Test func aTargetWhoseMasterLetsGoHealsItself() throws {
        // Counts, with live vector registers and system calls, into a pipe.
        let child = try Child(["/bin/sleep", "1000"])
        let before = try child.maps()
        for _ in 0..<20 {
            let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
            let control = try RemoteControl(tree.root, vdso: try child.vdso(), deadline: Deadline(seconds: 5))
            var batch = Batch()
            batch.call(Int(SYS_getpid))
            try control.run(batch).check()
            control.abandonForTest()
            tree.thaw()
            try child.waitUntil { $0.sleeps() }
        }
        #expect(try child.maps() == before)
    }

    /// Each step is taken in all processes before the next, as a dump does it with a tree of many.
    @Test func processesGoTheirWaySideBySide() throws {
        let child = try Child(["/bin/sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & wait"])
        let vdso = try child.vdsos()
        defer { for pid in vdso.keys { kill(pid, SIGKILL) } }
        let before = try vdso.keys.map { try maps(of: $0) }
        let open = try vdso.keys.map { try descriptors(of: $0) }
        #expect(vdso.count == 4)
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        let controls = try tree.processes.map {
            try RemoteControl($0, vdso: vdso[$0.pid], deadline: Deadline(seconds: 5))
        }
        func all(_ step: (RemoteControl) throws -> Bool) throws {
            var left = controls
            while !left.isEmpty { left = try left.filter { try !step($0) } }
        }
        try all { try $0.enterFurther() }
        var batch = Batch()
        let pid = batch.call(Int(SYS_getpid))
        for control in controls { try control.post(batch) }
        for control in controls {
            let result = try control.answer(to: batch)
            try result.check()
            #expect(result[pid] == Int64(control.pid))
        }
        try all { try $0.leaveFurther() }
        tree.thaw()
        #expect(try vdso.keys.map { try maps(of: $0) } == before)
        #expect(try vdso.keys.map { try descriptors(of: $0) } == open)
    }

    /// An error in another process ends the way of this one wherever it is: it comes out as it was.
    @Test(arguments: 0..<8) func theWayOutBeginsAnywhere(_ steps: Int) throws {
        let child = try Child(["/bin/sleep", "1000"])
        let (before, open) = (try child.maps(), try descriptors(of: child.pid))
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        let control = try RemoteControl(tree.root, vdso: try child.vdso(), deadline: Deadline(seconds: 5))
        for _ in 0..<steps { _ = try control.enterFurther() }
        // The last ones leave half of the way, too, before they are released.
        for _ in 0..<max(0, steps - 5) { _ = try control.leaveFurther() }
        try control.release()
        tree.thaw()
        #expect(try child.maps() == before)
        #expect(try descriptors(of: child.pid) == open)
        try child.waitUntil { $0.sleeps() }
    }

    @Test func threadsTakeTurns() throws {
        let child = try Child([
            "/usr/bin/python3", "-c",
            """
            import threading, time
            for i in range(4): threading.Thread(target=time.sleep, args=(1000,)).start()
            time.sleep(1000)
            """,
        ])
        try child.waitUntil { $0.threads().count == 5 }
        let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
        #expect(tree.root.threads.count == 5)
        let control = try RemoteControl(tree.root, vdso: try child.vdso(), deadline: Deadline(seconds: 5))
        for thread in tree.root.threads {
            var batch = Batch()
            let tid = batch.call(Int(SYS_gettid))
            let result = try control.run(batch, on: thread)
            try result.check()
            #expect(result[tid] == Int64(thread.tid))
        }
        try control.release()
        tree.thaw()
        try child.waitUntil { $0.threads().count == 5 && $0.sleeps() }
    }

    @Test func aTreeThatGrowsIsFrozenWhole() throws {
        let child = try Child(["/bin/sh", "-c", "while :; do (sleep 0.001 & /bin/true; wait) ; done"])
        for _ in 0..<30 {
            let tree = try TreeFreezer.freeze(root: child.pid, deadline: Deadline(seconds: 5))
            for process in tree.processes where !process.isZombie {
                let state = try String(contentsOfFile: "/proc/\(process.pid)/stat", encoding: .utf8)
                #expect(state.contains(") t "))
            }
            tree.thaw()
        }
        #expect(child.isAlive())
    }
}

private func maps(of pid: Int32) throws -> String {
    String(decoding: try Files.contents(of: FilePath("/proc/\(pid)/maps")), as: UTF8.self)
}

private func descriptors(of pid: Int32) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
}

/// A child process of a test, ended with it.
final class Child {
    let process = Process()
    var pid: Int32 { process.processIdentifier }

    init(_ command: [String]) throws {
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        try process.run()
        usleep(50_000)
    }

    deinit {
        kill(pid, SIGKILL)
        process.waitUntilExit()
    }

    func maps() throws -> String { try TracingTests.maps(of: pid) }
    func threads() -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? [] }
    func isAlive() -> Bool { kill(pid, 0) == 0 }

    /// In an interruptible sleep inside nanosleep(2), neither traced nor in the trampoline.
    func sleeps() -> Bool {
        let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
        let call = (try? String(contentsOfFile: "/proc/\(pid)/syscall", encoding: .utf8)) ?? ""
        // restart_syscall(2) is how an interrupted sleep goes on.
        return stat.contains(") S ") && ["230 ", "219 ", "35 "].contains { call.hasPrefix($0) }
    }

    /// Of the process and its children, once they are what they are to be.
    func vdsos() throws -> [Int32: Range<RemoteAddress>] {
        let list = "/proc/\(pid)/task/\(pid)/children"
        let children = try String(contentsOfFile: list, encoding: .utf8).split(separator: " ").compactMap { Int32($0) }
        return Dictionary(uniqueKeysWithValues: try ([pid] + children).map { ($0, try vdso(of: $0)) })
    }

    func vdso() throws -> Range<RemoteAddress> { try vdso(of: pid) }

    private func vdso(of pid: Int32) throws -> Range<RemoteAddress> {
        for line in try TracingTests.maps(of: pid).split(separator: "\n") where line.hasSuffix("[vdso]") {
            let ends = line.split(separator: " ")[0].split(separator: "-").map { UInt64($0, radix: 16) ?? 0 }
            return RemoteAddress(ends[0])..<RemoteAddress(ends[1])
        }
        throw Missing()
    }

    func waitUntil(_ condition: (Child) -> Bool) throws {
        for _ in 0..<500 {
            if condition(self) { return }
            usleep(10_000)
        }
        throw Missing()
    }

    struct Missing: Error {}
}
