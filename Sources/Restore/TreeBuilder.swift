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
    let plan: RestorePlan
    let deadline: Deadline
    let sibling: Bool
    let site: RestoreSite
    let progress: Progress
    var mailbox: Mailbox
    /// Apus' ends of the channels, by task.
    var channels: [Int32: OpenChannel] = [:]
    var started: [Int32] = []
    var heardFrom: Set<Int32> = []
    var guided: [GuidedLeave] = []
    /// Where the vdso lies behind the first of the kernel's own mappings, and its length, as the root has them.
    var vdsoOffset: UInt64 = 0
    var vdsoSize: UInt64 = 0
    /// How many times a task was set going and waited for.
    var roundTrips = 0
    /// What the tree has to do without on this host, in words.
    var losses: [String] = []
    /// The root, where it was made before.
    private let early: EarlyRoot?
    /// When all processes were made, in nanoseconds of the monotonic clock.
    private(set) var forked: UInt64 = 0

    /// Channels cannot be copied, and dictionaries hold what can.
    final class OpenChannel {
        let channel: Channel
        var gone = false
        init(_ channel: consuming Channel) { self.channel = channel }
    }

    init(
        _ plan: RestorePlan, site: RestoreSite, sibling: Bool, progress: Progress, deadline: Deadline,
        early: EarlyRoot? = nil
    ) throws(Problem) {
        self.plan = plan
        self.early = early
        self.deadline = deadline
        self.sibling = sibling
        self.site = site
        self.progress = progress
        ChildSignal.prepare()
        mailbox = try Mailbox(plan, of: early)
        try reserveNumbers()
        do throws(Problem) {
            try TreeBuilder.inherit(mailbox.file.raw, as: plan.mailboxDescriptor)
            try openResources(late: false)
            try openChannels()
        } catch {
            closeService()
            site.removeMadeFiles()
            throw error
        }
    }

    // MARK: What the tree inherits

    /// All numbers are taken at once, by what the tree does not inherit: the kernel puts what is opened in passing
    /// elsewhere.
    private func reserveNumbers() throws(Problem) {
        for number in serviceNumbers where (try? Files.closesOnExec(number)) != nil {
            throw Problem(
                .restoreFailed, "descriptor \(number) is taken", object: .init(fd: number),
                remedy: "Start Apus with fewer open files")
        }
        for number in serviceNumbers {
            do throws(Errno) {
                try Files.duplicate(mailbox.file.raw, as: number)
            } catch {
                closeService()
                throw TreeBuilder.unusable(number, error)
            }
        }
    }

    private var serviceNumbers: [Int32] {
        [plan.mailboxDescriptor] + plan.openings.map(\.descriptor) + plan.tasks.map(\.channel)
    }

    private static func unusable(_ number: Int32, _ error: Errno) -> Problem {
        Problem(
            .restoreFailed, "descriptor \(number) cannot be used", cause: .init(error, attempted: "dup3"),
            remedy: "Raise the limit of open files above \(number) (ulimit -n) and try again")
    }

    private static func inherit(_ descriptor: Int32, as number: Int32) throws(Problem) {
        do throws(Errno) {
            try Files.duplicate(descriptor, as: number, closeOnExec: false)
        } catch {
            throw unusable(number, error)
        }
    }

    /// - Parameter late: those that the tree fetches instead of inheriting them, or all others.
    private func openResources(late: Bool) throws(Problem) {
        var pipe: UInt32?
        for opening in plan.openings where opening.isLate == late {
            if let pipe, opening.resource.pipe != pipe { site.letGo(ofPipe: pipe) }
            pipe = opening.resource.pipe
            let descriptor = try opening.resource.open(at: site)
            try TreeBuilder.inherit(descriptor.raw, as: opening.descriptor)
            site.connections.keep(opening.descriptor)
        }
        if let pipe { site.letGo(ofPipe: pipe) }
        if !late { try site.connect() }
    }

    private func openChannels() throws(Problem) {
        for task in plan.tasks {
            do throws(Errno) {
                let pair = try Files.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
                try Files.duplicate(pair.second.raw, as: task.channel, closeOnExec: false)
                channels[task.pid] = OpenChannel(Channel(owning: pair.first))
            } catch {
                throw Problem(
                    .restoreFailed, "the channel to process \(task.pid) cannot be made",
                    cause: .init(error, attempted: "socketpair"),
                    remedy: "Raise the limit of open files (ulimit -n) and try again")
            }
        }
    }

    /// The tree has what it inherits; Apus' copies of it go. Its ends of the channels stay, and TCP connections until the release.
    func closeService() {
        let kept = site.connections.numbers
        for number in serviceNumbers where !kept.contains(number) { try? Files.close(number) }
    }

    // MARK: Building

    /// Builds the whole tree, up to where nothing is missing but the release.
    func build() throws(Problem) {
        if let early {
            try takeOver(early)
        } else {
            try spawnFirst()
            try arrive()
        }
        try barrier(\.family, tasks: plan.tasks, isFirstAlone: true)
        forked = Deadline.now()
        try adopt()
        try adjust()
        try openResources(late: true)
        try barrier(\.rebuild, tasks: plan.tasks.filter { $0.state != .dead })
        for table in plan.tables { try run(table.filling, in: plan.tasks[table.owner]) }
        // Those that end go last: groups and sessions live on through those that have joined by now.
        let ending = plan.tasks.filter { $0.state == .dead && !$0.isCourier }
        for last in [false, true] {
            let these = ending.filter { $0.endsLast == last }
            try barrier(\.rebuild, tasks: these)
            try awaitEnd(of: these)
        }
        try finish()
        try completeDescriptions()
        try breakLeases()
        try setOwners()
        closeService()
    }

    var root: RestorePlan.Task { plan.tasks[0] }
    /// The process that Apus makes itself.
    var first: RestorePlan.Task { plan.tasks[plan.first] }

    /// What descriptions get last: what is queued in sockets may hold other descriptions, and names of processes.
    private func completeDescriptions() throws(Problem) {
        let known = plan.openings.compactMap { opening in opening.id.map { ($0, opening.descriptor) } }
        try site.complete(Dictionary(known) { first, _ in first })
        losses += site.losses
    }

    /// To whom descriptions send signals: processes, groups and threads exist by now.
    private func setOwners() throws(Problem) {
        for opening in plan.openings {
            guard let owner = opening.owner else { continue }
            do throws(Errno) {
                if owner.pid != 0, let kind = Files.Owner.Kind(rawValue: Int32(bitPattern: owner.pidType)) {
                    // Whose rights decide whether the signal may be sent is who sets the owner.
                    try Processes.acting(real: owner.uid, effective: owner.euid) { () throws(Errno) in
                        try Files.setOwner(opening.descriptor, .init(kind: kind, id: Int32(bitPattern: owner.pid)))
                    }
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

}

@available(*, unavailable)
extension TreeBuilder: Sendable {}
