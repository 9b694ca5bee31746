import Linux
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(1))) struct ProcessesTests {
    @Test func waiting() throws {
        let brief = try Child(["/bin/sh", "-c", "exit 7"])
        #expect(try Processes.wait(for: brief.pid)?.status == .exited(code: 7))
        withExtendedLifetime(brief) {}
        let child = try Child(["/bin/sleep", "100"])
        #expect(try Processes.wait(for: child.pid, .noHang) == nil)
        try Processes.kill(child.pid, signal: 19)
        #expect(
            try Processes.waitID(for: child.pid, [.stopped, .keep])
                == .init(pid: child.pid, status: .stopped(signal: 19, event: 0)))
        #expect(try Processes.wait(for: child.pid, .stopped)?.status == .stopped(signal: 19, event: 0))
        #expect(try Procfs.live.process(child.pid).stat().state == .stopped)
        try Processes.kill(child.pid, signal: 18)
        #expect(try Processes.wait(for: child.pid, .continued)?.status == .continued)
        #expect(child.kill() == .killed(signal: 9, dumpedCore: false))
        #expect(throws: Errno.noChildProcess) { try Processes.wait(for: child.pid) }
    }

    @Test func statusWords() {
        for word in [0, 0x700, 9, 0x8b, 0x137f, 0x6057f, 0xffff] as [Int32] {
            #expect(WaitStatus(word: word)?.word == word)
        }
        #expect(WaitStatus(word: 0x8b) == .killed(signal: 11, dumpedCore: true))
        #expect(WaitStatus(word: 0x6057f) == .stopped(signal: 5, event: 6))
    }

    @Test func processDescriptors() throws {
        let child = try Child(["/bin/sleep", "100"])
        let descriptor = try Processes.open(child.pid)
        var entries = [Files.PollEntry(descriptor.raw, .readable)]
        #expect(try Files.poll(&entries, timeout: 0) == 0)
        let copy = try Processes.descriptor(0, of: descriptor.raw)
        let theirs = try Procfs.live.process(child.pid).descriptorLink(0)
        #expect(try Procfs.live.process(Processes.current).descriptorLink(copy.raw) == theirs)
        try Processes.kill(pidfd: descriptor.raw, signal: 15)
        #expect(try Files.poll(&entries, timeout: nil) == 1)
        #expect(
            try Processes.waitID(pidfd: descriptor.raw)
                == .init(pid: child.pid, status: .killed(signal: 15, dumpedCore: false)))
        #expect(throws: Errno.noSuchProcess) { try Processes.kill(pidfd: descriptor.raw, signal: 0) }
    }

    @Test func groupsAndSessions() throws {
        let child = try Child(["/bin/sleep", "100"])
        let stat = try Procfs.live.process(child.pid).stat()
        #expect(try Processes.group(of: child.pid) == stat.processGroup)
        #expect(try Processes.session(of: child.pid) == stat.session)
        #expect(stat.parent == Processes.current)
        #expect(try Procfs.live.children(of: Processes.current).contains(child.pid))
        #expect(try Procfs.live.childrenOfAll()[Processes.current]?.contains(child.pid) == true)
    }

    @Test func comparing() throws {
        let child = try Child(["/bin/sleep", "100"])
        let me = Processes.current
        #expect(try Processes.compare(me, me, .memory) == .same)
        #expect(try Processes.compare(me, child.pid, .memory) != .same)
        let there = try Processes.compare(me, child.pid, .descriptors)
        let back = try Processes.compare(child.pid, me, .descriptors)
        #expect([there, back] == [.less, .greater] || [there, back] == [.greater, .less])
    }

    @Test func limitsAndScheduling() throws {
        let child = try Child(["/bin/sleep", "100"])
        let files = try Processes.limit(7, of: child.pid)
        #expect(try Procfs.live.process(child.pid).limits()[7] == files)
        let lower = Processes.Limit(soft: files.soft - 1, hard: files.hard)
        // CAP_SYS_RESOURCE may be missing, but the ids are the same.
        try Processes.setLimit(7, of: child.pid, to: lower)
        #expect(try Processes.limit(7, of: child.pid) == lower)
        let scheduling = try Processes.scheduling(of: child.pid)
        #expect(try scheduling.nice == Processes.nice(of: child.pid))
        #expect(scheduling.policy == 0)
        #expect(try Processes.affinity(of: child.pid).contains { $0 != 0 })
        #expect(try Processes.ioPriority(of: child.pid) >= 0)
        #expect(try Processes.robustList(of: child.pid).length == 24)
        #expect(throws: Errno.noSuchProcess) { try Processes.scheduling(of: 0x3fff_ffff) }
    }

    @Test func memoryOfAnother() throws {
        let child = try Child(["/bin/sleep", "100"])
        let directory = Procfs.live.process(child.pid)
        // The kernel has set these addresses before the spawn call returns.
        let stat = try directory.stat()
        let count = Int(stat.argumentsEnd - stat.argumentsStart)
        let bytes = try RemoteMemory.read(child.pid, at: stat.argumentsStart, count: count)
        #expect(bytes == Array("/bin/sleep\u{0}100\u{0}".utf8))
        try RemoteMemory.write(child.pid, at: stat.argumentsStart + 11, Array("999".utf8))
        #expect(try directory.commandLine() == [Array("/bin/sleep".utf8), Array("999".utf8)])
        let pieces = [
            RemoteMemory.Piece(address: stat.argumentsStart + 11, count: 2),
            RemoteMemory.Piece(address: stat.argumentsStart, count: 4),
        ]
        var buffer = [UInt8](repeating: 0, count: 6)
        // The buffer is lent for the call.
        try unsafe buffer.withUnsafeMutableBytes { try unsafe RemoteMemory.read(child.pid, pieces: pieces, into: $0) }
        #expect(buffer == Array("99/bin".utf8))
    }

    /// The failure names the first address that could not be reached.
    @Test func memoryThatEnds() throws {
        let child = try Child(["/bin/sleep", "100"])
        let stack = try #require(try Procfs.live.process(child.pid).maps().first { $0.name == .stack })
        let start = stack.range.upperBound - 100
        let failure = #expect(throws: RemoteMemory.Failure.self) {
            try RemoteMemory.read(child.pid, at: start, count: 5000)
        }
        #expect(failure == RemoteMemory.Failure(address: stack.range.upperBound, errno: .badAddress))
        child.kill()
        #expect(throws: RemoteMemory.Failure(address: start, errno: .noSuchProcess)) {
            try RemoteMemory.read(child.pid, at: start, count: 1)
        }
    }
}
