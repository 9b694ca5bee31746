internal import Diagnostics
internal import Images
internal import Linux
internal import Objects

/// A process whose first thread has ended while others live (pthread_exit(3) in main). What threads share is no more to
/// be seen through its pid, but through any of the others.
enum EndedLeader {
    /// A live thread of a process whose first one has ended, and what `stat` would show of the process.
    ///
    /// - Returns: nil for a process of which nothing lives.
    static func survivor(of pid: Int32) throws(ProcfsError) -> (tid: Int32, stat: TaskStat)? {
        let directory = ProcessDirectory(pid)
        for tid in try directory.threads() where tid != pid {
            guard var stat = try? ProcessDirectory(tid).stat(), !stat.state.hasEnded else { continue }
            let leader = try directory.stat()
            stat.pid = pid
            stat.name = leader.name
            stat.exitCode = leader.exitCode
            return (tid, stat)
        }
        return nil
    }

    /// The core image of the first thread: who it was, and nothing of what it did, for it does no more. That there are
    /// no registers in it is what says so.
    static func core(of pid: Int32) throws(ProcfsError) -> CoreEntry {
        let directory = ProcessDirectory(pid, thread: pid)
        var entry = CoreEntry()
        entry.mtype = .x8664
        entry.threadCore.futexRla = 0
        entry.threadCore.futexRlaLen = 0
        entry.threadCore.commBytes = try directory.name()
        entry.threadCore.creds = Credentials.entry(try directory.status(), secureBits: 0)
        return entry
    }
}
