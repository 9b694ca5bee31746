internal import Diagnostics
internal import Glibc
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// A look at a whole tree through `/proc` alone, which disturbs nothing: before the freeze to find out whether the tree
/// can be carried at all, and again on the frozen tree, to know what is to be carried.
struct Survey {
    /// The root first, parents before their children.
    private(set) var processes: [SurveyedProcess] = []
    /// Everything that stands in the way.
    private(set) var obstacles: [Problem] = []

    private var options: DumpOptions
    private var isRunning = false
    /// What stood in the way already when the processes were looked at.
    private var seenObstacles: [Problem] = []
    /// What is known of mappings from before the freeze.
    private(set) var known = KnownMappings()
    /// What the kernel had of the mappings of processes, where it was asked.
    private var flags: [Int32: KernelMappings] = [:]
    /// What the processes have in common with each other.
    private(set) var sharing: TreeSharing?
    private var sharingBefore: TreeSharing?
    /// Processes outside of the tree that have nothing in common with it.
    private(set) var strangers: Set<Int32> = []

    /// The clocks as the tree sees them.
    var clocks: TreeClocks { TreeClocks(ofTreeFrom: options.pid) }

    /// What stands in the way of dumping a tree that runs on meanwhile.
    ///
    /// Processes come and go, and a look at one that is just ending or calling execve(2) shows things that are not so:
    /// what is not seen again each time was nothing. Whatever is missed here is found on the frozen tree.
    ///
    /// - Parameter locking: where connections wait to be accepted new ones are kept away for that time, as in a crowd there
    ///   would always be some; not where nothing is to be changed.
    /// - Returns: the obstacles that last, what is known of mappings for the frozen tree, and the first look.
    static func running(
        from root: Int32, _ options: DumpOptions, locking: Bool = false
    ) throws(Problem) -> (obstacles: [Problem], known: KnownMappings, first: Survey) {
        let first = try Survey(runningFrom: root, options)
        // A tree that leaves for another host is to stand still no longer than one that runs on.
        let isBrief = options.finally == .run || options.isWatched
        var known = isBrief ? KnownMappings(first.processes, first.flags) : KnownMappings()
        known.disregardsWatch = options.isWatched
        if first.obstacles.isEmpty { return ([], known, first) }
        var obstacles = first.obstacles
        var pause = Self.pause
        var door: ListenerLock?
        defer { door?.open() }
        while true {
            let again = try Survey(runningFrom: root, options).obstacles
            obstacles.removeAll { !again.contains($0) }
            // A shell that forks all the time shows ends of pipes as long as a child is on its way to the list of children;
            // what is under way for a moment is waited for, a while longer than a moment.
            let isPassing = obstacles.allSatisfy { $0.code == .underWay }
            let longest = isPassing ? Self.longestPause : Self.briefPause
            if isPassing && locking && door == nil { door = first.door }
            if isPassing && pause > longest && !obstacles.isEmpty {
                // What the tree would not accept by itself.
                var last = options
                last.carriesWaiting = true
                return (try Survey(runningFrom: root, last).obstacles, known, first)
            }
            if obstacles.isEmpty || pause > longest { return (obstacles, known, first) }
            usleep(pause)
            pause *= 2
        }
    }

    /// A lock that keeps new connections away from the tree; nil where there is nobody to keep them from, or nothing is to
    /// be locked.
    var door: ListenerLock? {
        guard options.tcpEstablished && options.locksNetwork else { return nil }
        return finalCircumstances.flatMap { ListenerLock($0.sockets) }
    }

    /// In microseconds.
    private static let (pause, briefPause, longestPause): (UInt32, UInt32, UInt32) = (5_000, 10_000, 160_000)

    init(runningFrom root: Int32, _ options: DumpOptions) throws(Problem) {
        self.options = options
        isRunning = true
        known.disregardsWatch = options.isWatched
        known.asksKernel = options.isWatched
        try RootObstacles.check(root)
        var (pending, pids) = ([root], [Int32]())
        while let pid = pending.popLast() {
            try RootObstacles.checkMember(pid, of: root)
            pids.append(pid)
            pending += ((try? Procfs.live.children(of: pid)) ?? []).reversed()
        }
        look(at: pids)
        guard processes.first?.pid == root else {
            if let obstacle = obstacles.first { throw obstacle }
            throw Problem(
                .noSuchProcess, "there is no such process any more", object: .init(pid: root),
                remedy: "Look for the right pid with `ps -e --forest`")
        }
        conclude()
    }

    /// Looks at a tree that stands still.
    ///
    /// - Parameter before: a look at it while it ran.
    init(
        frozen pids: [Int32], _ options: DumpOptions, _ known: KnownMappings, before: Survey
    ) throws(Problem) {
        self.options = options
        self.known = known
        strangers = before.strangers
        sharingBefore = before.sharing
        look(at: pids)
        let seen = Set(processes.map(\.pid))
        if let pid = pids.first(where: { !seen.contains($0) }) {
            if let obstacle = obstacles.first(where: { $0.object.pid == pid }) { throw obstacle }
            throw Problem(
                .noSuchProcess, "it ended while it was being dumped", object: .init(pid: pid),
                remedy: "Look in the kernel log whether it was killed, and start it anew")
        }
        conclude()
    }

    /// Looks at processes, several at a time.
    private mutating func look(at pids: [Int32]) {
        let look = ProcessLook(known, ghostLimit: options.ghostLimit, linking: options.linkRemap)
        for seen in Workers.map(pids.count, { look.process(pids[$0]) }) {
            if let process = seen.process { processes.append(process) }
            if let own = seen.flags, let process = seen.process { flags[process.pid] = own }
            if seen.isAssumed, let process = seen.process { known.assume(process.areas.map(\.area), of: process.pid) }
            obstacles += seen.obstacles
        }
        seenObstacles = obstacles
    }

    /// What would stand in the way with other options, as far as they do not concern files without a name.
    func obstacles(with options: DumpOptions) -> [Problem] {
        var other = self
        other.options = options
        other.obstacles = seenObstacles
        other.conclude()
        return other.obstacles
    }

    /// What the processes and what they hold have against being carried.
    private mutating func conclude() {
        var circumstances = self.circumstances
        let clocks = self.clocks
        addTerminals(to: &circumstances)
        let (processes, before) = (self.processes, circumstances)
        if isRunning { obstacles += processes.compactMap(ProcessObstacles.tracer) }
        obstacles += Workers.map(processes.count) { ProcessObstacles.find(processes[$0], before, clocks) }.joined()
        let sharing = self.sharing ?? TreeSharing(processes, before: sharingBefore)
        self.sharing = sharing
        obstacles += FamilyObstacles.find(processes, sharing, shellJob: options.shellJob)
        let outside = OutsideSharers(processes, sharing, known: strangers)
        obstacles += outside.found
        strangers.formUnion(outside.seen)
        for process in processes { circumstances.descriptors[process.pid] = process.descriptors }
        obstacles += MemoryObstacles.find(processes, circumstances.descriptors, isRunning: isRunning)
        obstacles += LockObstacles.find(processes, areCarried: options.fileLocks)
        addPipes(to: &circumstances)
        addSockets(to: &circumstances)
        addQueues(to: &circumstances)
        let complete = circumstances
        let descriptors = processes.flatMap(\.descriptors)
        let judged = Workers.map(descriptors.count, worthwhile: 64) {
            DescriptionKinds.obstacle(to: descriptors[$0], complete)
        }
        for obstacle in judged.compactMap(\.self) { add(obstacle) }
        self.finalCircumstances = circumstances
    }

    /// Adds what stands in the way, unless the parent has passed on the same descriptor: once is enough.
    private mutating func add(_ obstacle: Problem) {
        let isKnown = obstacles.contains {
            $0.code == obstacle.code && $0.summary == obstacle.summary && $0.object.fd == obstacle.object.fd
                && $0.object.path == obstacle.object.path && $0.object.fd != nil
        }
        if !isKnown { obstacles.append(obstacle) }
    }

    /// What of `--external` names nothing in the tree.
    var uselessKeys: [String] {
        let keys = Set(
            processes.flatMap(\.descriptors).compactMap { DescriptionKinds.kind(of: $0)?.externalKey(of: $0) })
        let devices = Set(processes.flatMap(\.descriptors).map(Device.beginning))
        return options.external.filter { key in !keys.contains(key) && !devices.contains { key.hasPrefix($0) } }
    }

    /// What the recognition of descriptors was decided by.
    private(set) var finalCircumstances: Circumstances?

    private var circumstances: Circumstances {
        var circumstances = Circumstances(
            pids: Set(processes.map(\.pid)), shellJob: options.shellJob, external: Set(options.external),
            fileLocks: options.fileLocks)
        circumstances.evasiveDevices = options.evasiveDevices
        circumstances.ghostLimit = options.ghostLimit
        circumstances.linkRemap = options.linkRemap
        circumstances.namespaces = TaskIdentities.own
        circumstances.connections = options.tcpClose ? .closed : options.tcpEstablished ? .carried : .refused
        circumstances.skipsInFlight = options.skipInFlight
        circumstances.carriesWaiting = options.carriesWaiting
        circumstances.externalUnixSockets = options.externalUnixSockets
        return circumstances
    }

    /// Finds who else has the message queues of the tree open.
    private func addQueues(to circumstances: inout Circumstances) {
        let queues = processes.flatMap(\.descriptors).filter(PosixQueue.recognises)
        if queues.isEmpty { return }
        let inodes = Set(queues.map(\.status.inode))
        circumstances.queueHolders = QueueHolders.outside(
            of: circumstances.pids, among: inodes, Set(queues.map(\.link)))
    }

    private mutating func addSockets(to circumstances: inout Circumstances) {
        do throws(Problem) {
            circumstances.sockets = try SocketTable(
                of: processes.flatMap(\.descriptors), in: circumstances.pids, searchingOutside: isRunning)
        } catch {
            obstacles.append(error)
        }
    }

    /// Finds the terminals whose masters the tree has; who else has one open is looked for once, while nothing stands still.
    private mutating func addTerminals(to circumstances: inout Circumstances) {
        do throws(Problem) {
            var terminals = try TerminalTable(of: processes.flatMap(\.descriptors))
            if isRunning { TerminalHolders.mark(&terminals, outside: circumstances.pids) }
            circumstances.terminals = terminals
        } catch {
            obstacles.append(error)
        }
    }

    /// Finds the pipes of which the tree holds one end alone, and whether somebody outside holds the other.
    private mutating func addPipes(to circumstances: inout Circumstances) {
        var holders: [UInt64: SeenDescriptor] = [:]
        for process in processes {
            for seen in process.descriptors where Pipe.recognises(seen) {
                circumstances.pipeEnds[seen.status.inode, default: []].formUnion(Pipe.end(seen))
                holders[seen.status.inode] = seen
            }
        }
        // Who else holds a pipe is looked for while nothing stands still.
        if isRunning {
            let named = Set(processes.flatMap(\.descriptors).filter(NamedPipe.recognises).map(\.link))
            let outside = PipeHolders.outside(
                of: circumstances.pids, amongNamed: named.union(holders.values.map(\.link)))
            circumstances.outsideHolders = outside
            circumstances.namedPipesLeadingOut = named.filter { outside[$0] != nil }
            circumstances.pipesLeadingOut = Set(holders.filter { outside[$0.value.link] != nil }.keys)
        }
        for (inode, ends) in circumstances.pipeEnds where ends != [.reading, .writing] {
            guard let seen = holders[inode] else { continue }
            do throws(Problem) {
                if try Pipe.isConnected(seen) { circumstances.pipesLeadingOut.insert(inode) }
            } catch {
                obstacles.append(error)
            }
        }
    }
}
