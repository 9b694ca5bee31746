internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// How a built tree is released, or taken back.
extension TreeBuilder {
    /// Seizes the tasks that are about to get seccomp filters: from then on the filters are suspended. Those of a process
    /// with several threads have been made by now, and wait.
    func suspendSeccomp() throws(Problem) {
        for task in plan.tasks where task.isUnderSeccomp && task.state != .dead {
            try guide(task, suspendsSeccomp: true)
        }
    }

    /// Prepares the release of tasks that do not leave alone.
    func hold() throws(Problem) {
        for task in plan.tasks where task.state != .dead && !task.isUnderSeccomp {
            let isLed = task.lastingThreads.contains { $0.wait != nil || $0.dispatch != nil }
            if isLed || task.staysStopped { try guide(task, suspendsSeccomp: false) }
        }
        for one in guided { try one.hold() }
    }

    /// Seizes all threads of a task: a thread that is held has left its wait on the channel, and looks at that number once more.
    /// By then a thread that had run on could have closed it, and opened a file of the program's in its place.
    private func guide(_ task: RestorePlan.Task, suspendsSeccomp: Bool) throws(Problem) {
        let threads = task.lastingThreads
        let guide = try GuidedLeave(pid: task.pid, threads: threads.map(\.tid), suspendsSeccomp: suspendsSeccomp)
        guide.staysStopped = task.staysStopped
        for thread in threads {
            if let wait = thread.wait { guide.waits[thread.tid] = .init(left: wait.left, room: thread.frame) }
            guide.dispatches[thread.tid] = thread.dispatch
        }
        guided.append(guide)
    }

    /// Waits until threads that share a channel are in their last wait: the first to leave closes its descriptor.
    func settleThreads() throws(Problem) {
        for task in plan.tasks where task.lastingThreads.count > 1 {
            for thread in task.lastingThreads {
                let limit = Deadline(nanoseconds: 5_000_000_000)
                let directory = ProcessDirectory(task.pid, thread: thread.tid)
                while !isReceiving(directory) {
                    if limit.isPast { throw died(task) }
                    usleep(20)
                }
            }
        }
    }

    private func isReceiving(_ directory: ProcessDirectory) -> Bool {
        guard let call = try? directory.contents(of: "syscall") else { return false }
        return call.starts(with: Array("\(SYS_recvfrom) ".utf8))
    }

    /// The address of the commit word in Apus' own memory.
    var commitWord: UInt { mailbox.commitWord }

    /// The ends of the channels that Apus has: while one of them is open its task waits.
    var lifelines: [Int32] { channels.values.map { $0.channel.raw } }

    /// Releases the whole tree: one store, and the cut of all lifelines.
    ///
    /// - Parameter committed: what belongs between the two.
    func release(_ committed: () -> Void) {
        mailbox.commit()
        committed()
        Steps.take()
        channels.removeAll()
        Steps.take()
        for one in guided { one.leave() }
        awaitDeparture()
        started = []
        _ = try? Processes.adoptOrphans(false)
    }

    /// Waits until every task has left the trampoline and unmapped what was Apus': whoever looks at the tree once
    /// the restore has returned finds the program and nothing else.
    private func awaitDeparture() {
        let limit = Deadline(nanoseconds: 2_000_000_000)
        let end = plan.area.mailbox + plan.mailboxSize
        let name = String(plan.area.mailbox.raw, radix: 16) + "-" + String(end.raw, radix: 16)
        for task in plan.tasks where task.state != .dead {
            guard let thread = task.lastingThreads.first else { continue }
            let mapping = FilePath("/proc/\(thread.tid)/map_files/\(name)")
            while !limit.isPast, mailbox.users(of: task) > 0 || (try? Files.access(mapping, mode: 0)) != nil {
                usleep(10)
            }
        }
    }

    /// Ends everything that was made, and waits until it is gone.
    func abandon() {
        closeService()
        site.removeMadeFiles()
        channels.removeAll()
        let limit = Deadline(nanoseconds: 3_000_000_000)
        for pid in started.reversed() {
            var isKilled = false
            // A zombie that is another's child (--restore-sibling) is not waited for.
            let last = Deadline(nanoseconds: 4_000_000_000)
            while !last.isPast {
                if let ended = try? Processes.wait(for: pid, [.noHang, .all]), ended.pid == pid { break }
                if (try? Processes.kill(pid, signal: 0)) == nil { break }
                if limit.isPast, !isKilled {
                    // Somebody stopped it, or it hangs in a slow file system.
                    guard isOurs(pid) else { break }
                    try? Processes.kill(pid, signal: SIGKILL)
                    isKilled = true
                }
                usleep(200)
            }
        }
        _ = try? Processes.adoptOrphans(false)
    }

    /// Whether a process is one that this restore has made: it maps the mailbox.
    private func isOurs(_ pid: Int32) -> Bool {
        guard let areas = try? ProcessDirectory(pid).maps() else { return false }
        return areas.contains { $0.range.lowerBound == plan.area.mailbox.raw }
    }
}
