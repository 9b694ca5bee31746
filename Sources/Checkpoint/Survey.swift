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

    private let options: DumpOptions
    private var isRunning = false
    /// What is known of mappings from before the freeze.
    private(set) var known = KnownMappings()
    /// Processes outside of the tree that have nothing in common with it.
    private(set) var strangers: Set<Int32> = []
    private var mappedFiles: [FileIdentity: NamedFile] = [:]

    private struct FileIdentity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
        let path: [UInt8]
        let isShared: Bool
    }

    /// The clocks as the tree sees them.
    var clocks: TreeClocks { TreeClocks(ofTreeFrom: options.pid) }

    /// What stands in the way of dumping a tree that runs on meanwhile.
    ///
    /// Processes come and go, and a look at one that is just ending or calling execve(2) shows things that are not so:
    /// what a second look does not show again was nothing. Whatever is missed here is found on the frozen tree.
    ///
    /// - Returns: the obstacles, what need not be looked at again on the frozen tree, and what was seen.
    static func running(
        from root: Int32, _ options: DumpOptions
    ) throws(Problem) -> (
        obstacles: [Problem], known: KnownMappings, strangers: Set<Int32>, processes: [SurveyedProcess]
    ) {
        let first = try Survey(runningFrom: root, options)
        let known = options.finally == .run ? KnownMappings(first.processes) : KnownMappings()
        if first.obstacles.isEmpty { return ([], known, first.strangers, first.processes) }
        var obstacles = first.obstacles
        var pause = Self.pause
        while true {
            let again = try Survey(runningFrom: root, options).obstacles
            obstacles.removeAll { !again.contains($0) }
            // What is under way for a moment is waited for, a while longer than a moment.
            let isPassing = !obstacles.isEmpty && obstacles.allSatisfy { $0.code == .underWay }
            if !isPassing || pause > Self.longestPause { return (obstacles, known, first.strangers, first.processes) }
            usleep(pause)
            pause *= 2
        }
    }

    /// In microseconds.
    private static let (pause, longestPause): (UInt32, UInt32) = (5_000, 80_000)

    private init(runningFrom root: Int32, _ options: DumpOptions) throws(Problem) {
        self.options = options
        isRunning = true
        try RootObstacles.check(root)
        var pending = [root]
        while let pid = pending.popLast() {
            try RootObstacles.checkMember(pid, of: root)
            guard add(pid) else { continue }
            pending += ((try? Procfs.live.children(of: pid)) ?? []).reversed()
        }
        guard processes.first?.pid == root else {
            if let obstacle = obstacles.first { throw obstacle }
            throw Problem(
                .noSuchProcess, "there is no such process any more", object: .init(pid: root),
                remedy: "Look for the right pid with `ps -e --forest`")
        }
        conclude()
    }

    /// Looks at a tree that stands still.
    init(
        frozen pids: [Int32], _ options: DumpOptions, _ known: KnownMappings, strangers: Set<Int32>
    ) throws(Problem) {
        self.options = options
        self.known = known
        self.strangers = strangers
        for pid in pids where !add(pid) {
            if let obstacle = obstacles.last { throw obstacle }
            throw Problem(
                .noSuchProcess, "it ended while it was being dumped", object: .init(pid: pid),
                remedy: "Look in the kernel log whether it was killed, and start it anew")
        }
        conclude()
    }

    /// - Returns: false where the process has gone meanwhile.
    private mutating func add(_ pid: Int32) -> Bool {
        do throws(ProcfsError) {
            let stat = try ProcessDirectory(pid).stat()
            if stat.state.hasEnded {
                if let living = try EndedLeader.survivor(of: pid) {
                    processes.append(try process(pid, living.stat, eye: living.tid))
                } else {
                    processes.append(try zombie(pid, stat))
                }
            } else {
                processes.append(try process(pid, stat, eye: pid))
            }
            return true
        } catch {
            if error.isGone {
                // What could not be read of it was on its way out.
                obstacles.removeAll { $0.object.pid == pid }
                return false
            }
            obstacles.append(
                Problem(
                    .objectUnreadable, "its state cannot be read (\(error.description))", object: .init(pid: pid),
                    cause: error.errno.map { .init($0, attempted: "read of \(error.file)") },
                    remedy: "Run Apus as root, with /proc mounted"))
            return false
        }
    }

    private func zombie(_ pid: Int32, _ stat: TaskStat) throws(ProcfsError) -> SurveyedProcess {
        SurveyedProcess(
            pid: pid, eye: pid, stat: stat, status: try ProcessDirectory(pid).status(), threads: [], areas: [],
            files: [:],
            descriptors: [], places: nil, timers: [])
    }

    /// - Parameter eye: one of its threads that lives.
    private mutating func process(
        _ pid: Int32, _ stat: TaskStat, eye: Int32
    ) throws(ProcfsError) -> SurveyedProcess {
        let directory = ProcessDirectory(eye)
        let name = String(decoding: stat.name, as: UTF8.self)
        var areas: [(area: MappedArea, kind: AreaKind)] = []
        var files: [UInt64: NamedFile] = [:]
        for area in try known.areas(of: eye) {
            do throws(Problem) {
                let kind = try area.kind(of: eye, process: name)
                areas.append((area, kind))
                if kind == .privateFile || kind == .sharedFile {
                    files[area.range.lowerBound] = try file(of: area, eye, name)
                }
            } catch {
                // One reason that holds for all mappings, or for all of one file, is told once.
                let isKnown = obstacles.contains {
                    $0.code == error.code && $0.summary == error.summary && $0.object.pid == error.object.pid
                        && ($0.object.path == error.object.path || error.cause?.errno == .notPermitted)
                }
                if !isKnown { obstacles.append(error) }
            }
        }
        var descriptors: [SeenDescriptor] = []
        for number in try directory.descriptors() {
            do throws(ProcfsError) {
                descriptors.append(try SeenDescriptor(number, of: eye, process: name))
            } catch {
                // Closed since the list was read; a frozen process closes nothing.
                if error.isGone && (try? directory.stat()) != nil { continue }
                throw error
            }
        }
        let places = SurveyedProcess.Places(
            executable: try named("exe", directory), workingDirectory: try named("cwd", directory),
            root: try named("root", directory))
        return SurveyedProcess(
            pid: pid, eye: eye, stat: stat, status: try directory.status(), threads: try directory.threads(),
            areas: areas,
            files: files, descriptors: descriptors, places: places, timers: try directory.timers())
    }

    private func named(_ link: FilePath.Component, _ directory: ProcessDirectory) throws(ProcfsError) -> NamedFile {
        let path = directory.path.appending(link)
        let text = try directory.link(link)
        do throws(Errno) {
            return NamedFile(shownAs: FilePath(bytes: text), try Files.status(of: path), at: path)
        } catch {
            throw ProcfsError(file: path, reason: .unreadable(error))
        }
    }

    /// The file behind a mapping.
    private mutating func file(of area: MappedArea, _ pid: Int32, _ process: String) throws(Problem) -> NamedFile {
        let text = area.shownPath
        let identity = FileIdentity(device: area.device, inode: area.inode, path: text, isShared: area.isShared)
        if let known = mappedFiles[identity] { return known }
        let path = FilePath(bytes: text)
        let object = Problem.Object(pid: pid, process: process, path: path.string, address: area.range.lowerBound)
        let status: FileStatus
        do throws(Errno) {
            status = try Files.status(of: SurveyedProcess.place(of: area, in: pid))
        } catch {
            throw Problem(
                .objectUnreadable, "the mapped file cannot be looked at", object: object,
                cause: .init(error, attempted: "stat(\"\(SurveyedProcess.place(of: area, in: pid))\")"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE)")
        }
        let file = NamedFile(shownAs: path, status, at: SurveyedProcess.place(of: area, in: pid))
        if let problem = file.obstacle(object, isShared: area.isShared, ghostLimit: options.ghostLimit) {
            throw problem
        }
        mappedFiles[identity] = file
        return file
    }

    /// What the processes and what they hold have against being carried.
    private mutating func conclude() {
        var circumstances = self.circumstances
        let clocks = self.clocks
        for process in processes { obstacles += ProcessObstacles.find(process, circumstances, clocks) }
        obstacles += FamilyObstacles.find(processes, shellJob: options.shellJob)
        let outside = OutsideSharers(processes, known: strangers)
        obstacles += outside.found
        strangers.formUnion(outside.seen)
        obstacles += MemoryObstacles.find(processes, isRunning: isRunning)
        addPipes(to: &circumstances)
        for process in processes { circumstances.descriptors[process.pid] = process.descriptors }
        addSockets(to: &circumstances)
        for process in processes {
            for seen in process.descriptors {
                if let obstacle = DescriptionKinds.obstacle(to: seen, circumstances) { add(obstacle) }
            }
        }
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

    /// What the recognition of descriptors was decided by.
    private(set) var finalCircumstances: Circumstances?

    private var circumstances: Circumstances {
        var circumstances = Circumstances(
            pids: Set(processes.map(\.pid)), shellJob: options.shellJob, external: Set(options.external),
            fileLocks: options.fileLocks)
        circumstances.evasiveDevices = options.evasiveDevices
        circumstances.ghostLimit = options.ghostLimit
        circumstances.externalUnixSockets = options.externalUnixSockets
        return circumstances
    }

    private mutating func addSockets(to circumstances: inout Circumstances) {
        do throws(Problem) {
            circumstances.sockets = try SocketTable(
                of: processes.flatMap(\.descriptors), in: circumstances.pids, searchingOutside: isRunning)
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
        let named = Set(processes.flatMap(\.descriptors).filter(NamedPipe.recognises).map(\.link))
        if isRunning && !named.isEmpty {
            circumstances.namedPipesLeadingOut = PipeHolders.outside(of: circumstances.pids, amongNamed: named)
        }
        // Who else holds a pipe is looked for once, while nothing stands still.
        if isRunning && !holders.isEmpty {
            circumstances.pipesLeadingOut = PipeHolders.outside(of: circumstances.pids, among: Set(holders.keys))
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
