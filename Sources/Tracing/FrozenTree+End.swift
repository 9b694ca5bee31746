internal import Glibc
internal import Linux
internal import SystemPackage

extension FrozenTree {
    /// Ends every process of the tree while it stands still: none runs another instruction of its own.
    ///
    /// Their parents learn of it as of any death. Returns when the kernel has taken them down.
    public func kill(deadline: Deadline) {
        for process in processes where !process.threads.isEmpty {
            Steps.take()
            // It may have been killed by somebody else meanwhile, which is as good.
            try? Processes.kill(process.pid, signal: SIGKILL)
        }
        // The leader's end is told last, when all other threads have been waited for.
        for process in processes { for thread in process.threads.reversed() { thread.waitForEnd(deadline) } }
    }

    /// Lets the tree go in such a way that it stays stopped, as by SIGSTOP, until SIGCONT.
    public func leaveStopped() {
        for process in processes where !process.threads.isEmpty && process.groupStop == nil {
            Steps.take()
            // It takes effect at the moment the tracee is let go of, before any instruction of its own.
            try? Processes.kill(process.pid, signal: SIGSTOP)
        }
        thaw()
    }
}
