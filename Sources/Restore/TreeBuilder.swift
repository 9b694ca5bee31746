internal import CLinux
internal import Diagnostics
internal import Glibc
internal import ImageMessages
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Carries a plan out. Until `release` nothing of the restored program has run, and everything that was made goes
/// away when the builder is abandoned, or when Apus dies: every task waits on its lifeline, and exits when it is cut.
final class TreeBuilder {
    private let plan: RestorePlan
    private let deadline: Deadline
    private let sibling: Bool
    private var mailbox: Mailbox
    /// Apus' ends of the channels, by task.
    private var channels: [Int32: OpenChannel] = [:]
    private var started: [Int32] = []
    private var guided: [GuidedLeave] = []
    /// How many times a task was set going and waited for.
    private(set) var roundTrips = 0
    /// When all processes were made, in nanoseconds of the monotonic clock.
    private(set) var forked: UInt64 = 0

    /// Channels cannot be copied, and dictionaries hold what can.
    private final class OpenChannel {
        let channel: Channel
        var gone = false
        init(_ channel: consuming Channel) { self.channel = channel }
    }

    init(_ plan: RestorePlan, site: RestoreSite, sibling: Bool, deadline: Deadline) throws(Problem) {
        self.plan = plan
        self.deadline = deadline
        self.sibling = sibling
        ChildSignal.prepare()
        mailbox = try Mailbox(plan)
        try TreeBuilder.inherit(mailbox.file.raw, as: plan.firstServiceDescriptor)
        do throws(Problem) {
            try openResources(site)
            try openChannels()
        } catch {
            closeService()
            throw error
        }
    }

    // MARK: What the tree inherits

    private static func inherit(_ descriptor: Int32, as number: Int32) throws(Problem) {
        do throws(Errno) {
            try Files.duplicate(descriptor, as: number, closeOnExec: false)
        } catch {
            throw Problem(
                .restoreFailed, "descriptor \(number) cannot be used", cause: .init(error, attempted: "dup3"),
                remedy: "Raise the limit of open files above \(number) (ulimit -n) and try again")
        }
    }

    private func openResources(_ site: RestoreSite) throws(Problem) {
        for opening in plan.openings {
            let descriptor = try opening.resource.open(at: site)
            try TreeBuilder.inherit(descriptor.raw, as: opening.descriptor)
        }
    }

    private func openChannels() throws(Problem) {
        let end = (plan.openings.map(\.descriptor) + plan.tasks.map(\.channel)).max() ?? 0
        for task in plan.tasks {
            do throws(Errno) {
                let pair = try Files.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
                try Files.duplicate(pair.second.raw, as: task.channel, closeOnExec: false)
                let own = try Files.duplicate(pair.first.raw, from: end + 1)
                channels[task.pid] = OpenChannel(Channel(owning: own))
            } catch {
                throw Problem(
                    .restoreFailed, "the channel to process \(task.pid) cannot be made",
                    cause: .init(error, attempted: "socketpair"),
                    remedy: "Raise the limit of open files (ulimit -n) and try again")
            }
        }
    }

    /// The tree has what it inherits; Apus' copies of it go. Its ends of the channels stay.
    private func closeService() {
        for number in [plan.firstServiceDescriptor] + plan.openings.map(\.descriptor) + plan.tasks.map(\.channel) {
            try? Files.close(number)
        }
    }

    // MARK: Building

    /// Builds the whole tree, up to where nothing is missing but the release.
    func build() throws(Problem) {
        try spawnRoot()
        try arrive()
        try barrier(\.family, tasks: plan.tasks, alreadyGoing: Set(plan.tasks.dropFirst().map(\.pid)))
        forked = Deadline.now()
        try adjust()
        try barrier(\.rebuild, tasks: plan.tasks)
        try awaitZombies()
        try suspendSeccomp()
        try barrier(\.finish, tasks: plan.tasks.filter { $0.state != .dead })
        closeService()
    }

    private var root: RestorePlan.Task { plan.tasks[0] }

    private func spawnRoot() throws(Problem) {
        // Until it is told otherwise the root only reports that it is there.
        mailbox.assign(.init(), to: root.threads[0])
        let program = Husk.executable(
            at: plan.area.husk, code: plan.area.code, codeLength: 4096, dataLength: plan.mailboxSize,
            file: plan.firstServiceDescriptor, control: plan.area.mailbox + root.threads[0].controlPlace)
        do throws(Errno) {
            let file = try Files.memory(named: "apus-husk", flags: MemoryFileFlag.closeOnExec)
            try Files.write(file.raw, program, at: 0)
            _ = try? Processes.adoptOrphans(true)
            let pid = Husk.spawn(file.raw, pid: root.pid, sibling: sibling)
            guard pid > 0 else { throw Errno(rawValue: -pid) }
            started = [root.pid]
        } catch {
            throw error == .fileExists ? PidsInUse.problem(root.pid, root.name) : spawnFailure(error)
        }
    }

    private func spawnFailure(_ error: Errno) -> Problem {
        Problem(
            .restoreFailed, "the first process cannot be made with pid \(root.pid)", object: .init(pid: root.pid),
            cause: .init(error, attempted: "clone3 with set_tid"),
            remedy: error == .notPermitted
                ? "Run Apus as root, or with CAP_CHECKPOINT_RESTORE in the user namespace of the pid namespace"
                : "See that pid_max (sysctl kernel.pid_max) is above \(root.pid), and that there is enough memory")
    }

    /// Parks the kernel's own mappings, clears the rest of the root's address space, and puts the way out where the
    /// children inherit it.
    private func arrive() throws(Problem) {
        try collect([root.pid: [0]])
        let batch = try clearing()
        mailbox.write(batch)
        mailbox.assign(batch, to: root.threads[0])
        try command(root)
        try collect([root.pid: [0]])
        try check(batch, of: root, root.threads[0])
        guard let offset = Husk.exitOffset(inVdso: try hostVdso()) else {
            throw Problem(
                .noRoomForCode, "the vdso of this kernel has no room for the way out",
                remedy: "Report the kernel's version; another kernel will do")
        }
        // The vdso was parked behind the mappings that the kernel puts before it.
        let memory = try ProcessMemory(pid: root.pid)
        Steps.take()
        do throws(Errno) {
            try memory.write(Husk.exit.bytes, at: plan.area.parking + (Int(vdsoOffset) + offset))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be written", object: .init(pid: root.pid),
                cause: .init(error, attempted: "write to /proc/\(root.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private var vdsoOffset: UInt64 = 0
    private var vdsoSize: UInt64 = 0

    private func hostVdso() throws(Problem) -> [UInt8] {
        let memory = try ProcessMemory(pid: root.pid)
        do throws(Errno) {
            return try memory.read(plan.area.parking + Int(vdsoOffset), count: Int(vdsoSize))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be read", object: .init(pid: root.pid),
                cause: .init(error, attempted: "read of /proc/\(root.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private func clearing() throws(Problem) -> RestorePlan.PlacedBatch {
        let areas: [MappedArea]
        do throws(ProcfsError) { areas = try ProcessDirectory(root.pid).maps() } catch {
            throw Problem(
                .restoreFailed, "the mappings of the new process cannot be read (\(error))",
                object: .init(pid: root.pid), remedy: "Mount /proc where Apus runs")
        }
        var batch = Batch()
        let kernels = areas.filter { $0.name.isKernelProvided && $0.name != .vsyscall }
        let first = kernels.first?.range.lowerBound ?? 0
        for area in kernels {
            let offset = area.range.lowerBound - first
            if area.name == .vdso { (vdsoOffset, vdsoSize) = (offset, area.size) }
            let place = plan.area.parking + Int(offset)
            batch.call(
                Int(SYS_mremap), .value(area.range.lowerBound), .value(area.size), .value(area.size), 3,
                .address(place), expecting: Int64(place.raw)...Int64(place.raw), for: "park vdso and vvar")
        }
        let end = plan.area.mailbox + plan.mailboxSize
        let top: UInt64 = 0x7fff_ffff_f000
        batch.call(Int(SYS_munmap), 0, .address(plan.area.husk + 0x1000), for: "clear the address space")
        batch.call(Int(SYS_munmap), .address(end), .value(top - end.raw), for: "clear the address space")
        // The room of the root's own batch is not used yet.
        return .init(batch, at: max(root.rebuild.place, root.family.place))
    }

    /// What only Apus can do, once the tasks exist.
    private func adjust() throws(Problem) {
        for task in plan.tasks where task.state != .dead {
            let path = FilePath("/proc/\(task.pid)/oom_score_adj")
            guard let current = try? Files.contents(of: path),
                String(decoding: current, as: UTF8.self) != "\(task.outOfMemoryAdjustment)\n"
            else { continue }
            do throws(Errno) {
                let file = try Files.open(path, .writeOnly)
                try Files.write(file.raw, Array("\(task.outOfMemoryAdjustment)".utf8))
            } catch {
                throw Problem(
                    .restoreFailed, "its OOM score adjustment cannot be set to \(task.outOfMemoryAdjustment)",
                    object: .init(pid: task.pid, process: task.name, path: path.string),
                    cause: .init(error, attempted: "write"),
                    remedy: "Run Apus with CAP_SYS_RESOURCE, or start it with the same oom_score_adj")
            }
        }
        for opening in plan.openings {
            guard let owner = opening.owner else { continue }
            do throws(Errno) {
                if owner.pid != 0, let kind = Files.Owner.Kind(rawValue: Int32(bitPattern: owner.pidType)) {
                    try Files.setOwner(opening.descriptor, .init(kind: kind, id: Int32(bitPattern: owner.pid)))
                }
                if owner.signum != 0 {
                    try Files.setSignal(opening.descriptor, Int32(bitPattern: owner.signum))
                }
            } catch {
                throw Problem(
                    .restoreFailed, "\(opening.resource): the owner \(owner.pid) of its signals cannot be set",
                    cause: .init(error, attempted: "fcntl(F_SETOWN_EX)"), remedy: "Restore the whole tree")
            }
        }
    }

    // MARK: Barriers

    private func command(_ task: RestorePlan.Task) throws(Problem) {
        Steps.take()
        try channels[task.pid]?.channel.command(pid: task.pid)
    }

    /// Has tasks make one of their batches, all at the same time, and waits for all.
    private func barrier(
        _ which: KeyPath<RestorePlan.Task, RestorePlan.PlacedBatch>, tasks: [RestorePlan.Task],
        alreadyGoing: Set<Int32> = []
    ) throws(Problem) {
        for task in tasks where !alreadyGoing.contains(task.pid) {
            // The root's room was lent to the batch that cleared its memory.
            if task.pid == root.pid { mailbox.write(task[keyPath: which]) }
            mailbox.assign(task[keyPath: which], to: task.threads[0])
            try command(task)
        }
        var expected: [Int32: Set<UInt64>] = [:]
        let makesThreads = which == \RestorePlan.Task.finish
        for task in tasks {
            // One that ends does not report.
            if which == \RestorePlan.Task.rebuild && task.state == .dead { continue }
            expected[task.pid] = makesThreads ? Set(task.threads.indices.map(UInt64.init)) : [0]
        }
        started = plan.tasks.map(\.pid)
        try collect(expected, failing: { (task: RestorePlan.Task, token: UInt64) throws(Problem) in
            let thread = task.threads[Int(token)]
            try self.check(token == 0 ? task[keyPath: which] : thread.batch, of: task, thread)
        })
    }

    /// Waits until every task has reported every token that is expected of it.
    private func collect(
        _ expected: [Int32: Set<UInt64>],
        failing check: (RestorePlan.Task, UInt64) throws(Problem) -> Void = { (_, _) throws(Problem) in }
    ) throws(Problem) {
        roundTrips += expected.count
        var expected = expected
        while let pid = expected.keys.first(where: { _ in true }) {
            var heard = false
            for (pid, tokens) in expected {
                guard let open = channels[pid], let task = plan.tasks.first(where: { $0.pid == pid }) else { continue }
                // Alone, a task is waited for; of many, each is looked at.
                let patience: UInt64 = expected.count == 1 ? deadline.remaining(atMost: 20_000_000) : 0
                switch open.channel.report(atMost: patience) {
                case .token(let token):
                    heard = true
                    try check(task, token)
                    var rest = tokens
                    rest.remove(token)
                    expected[pid] = rest.isEmpty ? nil : rest
                case .gone: throw died(task)
                case .nothing: break
                }
            }
            if !heard { try idle(expected.keys.map { $0 }, pid) }
        }
    }

    private func idle(_ waitingFor: [Int32], _ pid: Int32) throws(Problem) {
        if deadline.isPast || Cancellation.requested {
            throw Cancellation.problem
                ?? Problem(
                    .timedOut, "the processes were not rebuilt in time", object: .init(pid: pid),
                    remedy: "Try again on a host with less load")
        }
        var entries = waitingFor.compactMap { pid in
            channels[pid].map { Files.PollEntry($0.channel.raw, .readable) }
        }
        _ = try? Files.poll(&entries, timeout: 20_000_000)
        if let ended = try? Processes.wait(for: root.pid, [.noHang, .all]), ended.pid == root.pid,
            root.state != .dead
        {
            started.removeAll { $0 == root.pid }
            throw died(root)
        }
    }

    private func died(_ task: RestorePlan.Task) -> Problem {
        Problem(
            .restoreFailed, "it ended while it was being rebuilt",
            object: .init(pid: task.pid, process: task.name),
            remedy: "Look in the kernel log whether it was killed (out of memory?)")
    }

    private func check(
        _ batch: RestorePlan.PlacedBatch, of task: RestorePlan.Task, _ thread: RestorePlan.Thread
    ) throws(Problem) {
        guard let (call, result) = mailbox.failure(of: batch, in: thread) else { return }
        throw CallFailure.problem(call, result, task: task)
    }

    private func awaitZombies() throws(Problem) {
        for task in plan.tasks where task.state == .dead {
            let limit = Deadline(nanoseconds: 5_000_000_000)
            while (try? ProcessDirectory(task.pid).stat())?.state != .zombie {
                if limit.isPast { throw died(task) }
                usleep(100)
            }
        }
    }

    // MARK: The end

    /// Seizes the tasks that are about to get seccomp filters: from then on the filters are suspended.
    private func suspendSeccomp() throws(Problem) {
        for task in plan.tasks where task.isUnderSeccomp && task.state != .dead {
            guided.append(
                try GuidedLeave(
                    pid: task.pid, threads: task.threads.map(\.tid), stops: task.staysStopped, suspendingSeccomp: true))
        }
    }

    /// Prepares the release of tasks that do not leave alone.
    func hold() throws(Problem) {
        for task in plan.tasks where task.staysStopped && !task.isUnderSeccomp {
            guided.append(
                try GuidedLeave(
                    pid: task.pid, threads: task.threads.map(\.tid), stops: true, suspendingSeccomp: false))
        }
        for one in guided { try one.hold() }
    }

    /// Waits until threads that share a channel are in their last wait: the first to leave closes its descriptor.
    func settleThreads() throws(Problem) {
        for task in plan.tasks where task.threads.count > 1 {
            for thread in task.threads {
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

    /// Releases the whole tree: one store, and the cut of all lifelines.
    func release() {
        mailbox.commit()
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
            let mapping = FilePath("/proc/\(task.pid)/map_files/\(name)")
            while !limit.isPast, mailbox.users(of: task) > 0 || (try? Files.access(mapping, mode: 0)) != nil { usleep(10) }
        }
    }

    /// Ends everything that was made, and waits until it is gone.
    func abandon() {
        closeService()
        channels.removeAll()
        let limit = Deadline(nanoseconds: 3_000_000_000)
        for pid in started.reversed() {
            while !limit.isPast {
                if let ended = try? Processes.wait(for: pid, [.noHang, .all]), ended.pid == pid { break }
                if (try? Processes.kill(pid, signal: 0)) == nil { break }
                usleep(200)
            }
        }
        _ = try? Processes.adoptOrphans(false)
    }
}

@available(*, unavailable)
extension TreeBuilder: Sendable {}
