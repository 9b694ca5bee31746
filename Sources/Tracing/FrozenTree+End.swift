internal import Glibc
internal import Linux
internal import SystemPackage

extension FrozenTree {
    /// Ends every process of the tree while it stands still: none runs another instruction of its own.
    ///
    /// Their parents learn of it as of any death. Returns when the kernel has taken them down. Were Apus itself killed
    /// in the middle, the rest would be killed all the same: by the kernel, which is asked to before the first blow,
    /// and by a helper where that request did not get so far.
    public func kill(deadline: Deadline) {
        let victims = processes.filter { !$0.threads.isEmpty }
        Steps.take()
        if victims.count < 2 {
            killAll(victims, deadline)
        } else if let guardian = try? KillGuard(victims.map(\.pid)) {
            for process in victims { process.threads.forEach { $0.dieWithTracer() } }
            killAll(victims, deadline)
            guardian.dismiss()
        } else {
            for process in victims { process.threads.forEach { $0.dieWithTracer() } }
            killAll(victims, deadline)
        }
    }

    private func killAll(_ victims: [FrozenProcess], _ deadline: Deadline) {
        for process in victims {
            Steps.take()
            // It may have been killed by somebody else meanwhile, which is as good.
            try? Processes.kill(process.pid, signal: SIGKILL)
        }
        // The leader's end is told last, when all other threads have been waited for.
        for process in victims { for thread in process.threads.reversed() { thread.waitForEnd(deadline) } }
    }

    /// Lets the tree go in such a way that it stays stopped, as by SIGSTOP, until SIGCONT.
    public func leaveStopped() {
        pin()
        thaw()
    }

    /// From here on the tree stays stopped, as by SIGSTOP, also when Apus dies.
    public func pin() {
        for process in processes where !process.threads.isEmpty && process.groupStop == nil {
            Steps.take()
            // It takes effect at the moment the tracee is let go of, before any instruction of its own.
            try? Processes.kill(process.pid, signal: SIGSTOP)
        }
    }

    /// Takes that back: the tree would run on if Apus died. SIGCONT removes a SIGSTOP that waits (signal(7)); a process with a
    /// handler for it will come to know of it.
    public func unpin() {
        for process in processes where !process.threads.isEmpty && process.groupStop == nil {
            try? Processes.kill(process.pid, signal: SIGCONT)
        }
    }
}
