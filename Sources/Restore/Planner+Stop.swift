internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Tasks that were stopped.
extension Planner {
    /// A task stops itself as the last thing, whether Apus lives to see it or not: by the signal that had stopped it, which
    /// its parent is told (waitpid(2) with WUNTRACED).
    mutating func composeStop(_ index: Int, in cleanup: inout Batch) {
        let task = images.tasks[index]
        guard let signal = stopSignal(of: task) else {
            cleanup.call(Int(SYS_kill), .signed(task.pid), .int(Int(SIGSTOP)), for: "stop")
            return
        }
        // All signals are blocked yet, but for SIGSTOP, which cannot be.
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(1) << UInt64(signal - 1))
        let mask = cleanup.buffer(bytes)
        cleanup.call(Int(SYS_kill), .signed(task.pid), .signed(signal), for: "stop by signal \(signal)")
        cleanup.call(Int(SYS_rt_sigprocmask), .int(Int(SIG_UNBLOCK)), .address(mask), 0, 8, for: "stop")
    }

    /// The signal of job control that had stopped a task: nil for SIGSTOP, and where that has to take its place. The kernel
    /// stops a process by the others only if the program does not handle or ignore them, and if its group is not orphaned
    /// (signal(7); `is_current_pgrp_orphaned` of kernel/exit.c). One that waits already would be used up.
    private func stopSignal(of task: TaskImages) -> Int32? {
        let signal = Int32(truncatingIfNeeded: task.task.stopSigno)
        guard task.state == .stopped, [SIGTSTP, SIGTTIN, SIGTTOU].contains(signal) else { return nil }
        let entries = task.task.sigactions
        // SIGKILL and SIGSTOP are left out by newer images.
        let place = Int(signal) - (entries.count > 62 ? 1 : 3)
        guard entries.indices.contains(place), entries[place].sigaction == 0 else { return nil }
        let queues = [task.task.signalsS] + task.threads.map(\.core.threadCore.signalsP)
        let pending = queues.flatMap(\.signals).contains { info in
            info.bytes.count >= 4 && info.bytes.littleEndian(Int32.self, at: 0) == signal
        }
        return pending || isOrphaned(group: task.processGroup) ? nil : signal
    }

    /// Whether no member of a process group has its parent in the same session and another group.
    private func isOrphaned(group: Int32) -> Bool {
        let pids = Set(images.tasks.map(\.pid))
        return !images.tasks.contains { member in
            guard member.processGroup == group, member.state != .dead else { return false }
            guard let parent = images.task(member.parent) else {
                // The job of a terminal, whose shell is the parent of its group.
                return shellJob && !pids.contains(member.session)
            }
            return parent.session == member.session && parent.processGroup != group
        }
    }
}
