public import Diagnostics
public import ImageMessages
internal import SystemPackage

extension CheckpointImages {
    /// The versions of the format that are understood (`InventoryEntry.imgVersion`).
    static let knownVersions: ClosedRange<UInt32> = 1...2

    /// Reads a directory and checks it. All problems that can be found are found in one look.
    ///
    /// - Parameters:
    ///   - architecture: the processor that the images must be of.
    ///   - known: what the directory is, where that is yet to be written.
    ///   - workforce: reads the tasks, connections and digests.
    ///   - whenPagesStand: called before page maps are read, and with them the sizes of pages files, which come last.
    /// - Throws: the problems, each with a code of this module (`image-*`); what `whenPagesStand` throws.
    public init(
        reading directory: ImageDirectory, _ known: InventoryEntry? = nil,
        architecture: CoreEntry.March = .ofThisMachine,
        by workforce: some Workforce = SingleWorker(), whenPagesStand: () throws(Problem) -> Void = {}
    ) throws(Problems) {
        // Without a sound beginning nothing else can be understood.
        let inventory: InventoryEntry
        let tree: [PstreeEntry]
        do throws(Problem) {
            inventory = if let known { known } else { try directory.inventory() }
            manifest = try directory.manifest()
            supplement = try directory.supplement()
            tree = try directory.tree()
        } catch {
            throw Problems(error)
        }
        self.inventory = inventory
        var found: [Problem] = manifest.map { directory.differences(from: $0, by: workforce) } ?? []
        try Problems.throwIfAny(found)

        let read = workforce.map(tree.count) { index in
            Result { () throws(Problem) in
                try TaskImages(reading: tree[index], in: directory, inventory: inventory, architecture: architecture)
            }
        }
        var tasks = read.compactMap { result in found.collect { () throws(Problem) in try result.get() } }
        let shared = found.collect { () throws(Problem) in try Shared(directory, by: workforce) }
        do throws(Problem) { try whenPagesStand() } catch { throw Problems(error) }
        let living = tasks
        let maps = workforce.map(living.count) { index in
            Result { () throws(Problem) in try living[index].pagemap(in: directory) }
        }
        for (index, map) in maps.enumerated() {
            tasks[index].pagemap = found.collect { () throws(Problem) in try map.get() } ?? nil
        }
        self.tasks = tasks
        guard let shared, found.isEmpty else {
            try Problems.throwIfAny(found)
            preconditionFailure("nothing was read, and no problem was found")
        }
        files = shared.files
        terminals = shared.terminals
        terminalData = shared.terminalData
        pipes = shared.pipes
        bpfMaps = shared.bpfMaps
        unixSockets = shared.unixSockets
        streams = shared.streams
        remaps = shared.remaps
        ghosts = shared.ghosts
        memfds = shared.memfds
        segments = shared.segments
        semaphores = shared.semaphores
        messageQueues = shared.messageQueues
        ipcSettings = shared.ipcSettings
        fileLocks = shared.fileLocks
        seccompFilters = shared.seccompFilters
        cgroup = shared.cgroup
        cpuinfo = shared.cpuinfo
        timeNamespaces = shared.timeNamespaces
        utsNamespaces = shared.utsNamespaces
        try Problems.throwIfAny(missingDescriptions(directory))
    }

    /// Every descriptor, executable and directory leads to a description.
    private func missingDescriptions(_ directory: ImageDirectory) -> [Problem] {
        let path = directory.path.appending(ImageKind.files.layout.fileName())
        var found: [Problem] = []
        func missing(_ what: String, of pid: Int32, fd: Int32? = nil) {
            found.append(
                Problem(
                    .imageInvalid, "\(what) leads to no file of the images",
                    object: .init(pid: pid, fd: fd, path: path.string), remedy: copyAgain))
        }
        for task in tasks {
            for descriptor in task.descriptors where files[descriptor] == nil {
                missing("the descriptor", of: task.pid, fd: Int32(bitPattern: descriptor.fd))
            }
            if let memory = task.memory, files.regular(memory.exeFileID) == nil {
                missing("the executable", of: task.pid)
            }
            guard let fs = task.fs else { continue }
            if files.regular(fs.cwdID) == nil { missing("the working directory", of: task.pid) }
            if files.regular(fs.rootID) == nil { missing("the root directory", of: task.pid) }
        }
        return found
    }
}

extension CheckpointImages {
    /// The images that belong to no task.
    private struct Shared {
        let files: FileTable
        let terminals: [UInt32: TtyInfoEntry]
        let terminalData: [UInt32: [UInt8]]
        let pipes: [UInt32: PipeContent]
        let bpfMaps: [UInt32: BpfMapContent]
        let unixSockets: UnixSocketImages
        let streams: [UInt32: StreamContent]
        let remaps: [RemapFilePathEntry]
        let ghosts: [UInt32: GhostFileEntry]
        let memfds: [MemfdInodeEntry]
        let segments: [SegmentImage]
        let semaphores: [SemaphoreImage]
        let messageQueues: [MessageQueueImage]
        let ipcSettings: [UInt32: IpcVarEntry]
        let fileLocks: [FileLockEntry]
        let seccompFilters: [SeccompFilter]
        let cgroup: CgroupEntry?
        let cpuinfo: CpuinfoEntry?
        let timeNamespaces: [UInt32: TimensEntry]
        let utsNamespaces: [UInt32: UtsnsEntry]

        /// `/dev/tty` is the terminal of its session: which of those in the images that is, their sessions tell.
        private static func withPairs(of terminals: [TtyInfoEntry]) -> [TtyInfoEntry] {
            // The device of masters, /dev/ptmx, which are nobody's controlling terminals (ptmx(4)).
            let multiplexer: UInt32 = 0x502
            let slaves = terminals.filter {
                $0.type == .pty && $0.hasPty && $0.hasTermios && $0.sid != 0 && $0.rdev != multiplexer
            }
            return terminals.map { terminal in
                var whole = terminal
                let meant = slaves.filter { $0.sid == terminal.sid }
                if terminal.type == .ctty, !terminal.hasPty, meant.count == 1 { whole.pty = meant[0].pty }
                return whole
            }
        }

        init(_ directory: ImageDirectory, by workforce: some Workforce) throws(Problem) {
            let names = try directory.fileNames()
            files = try FileTable(reading: directory)
            terminals = Dictionary(
                Self.withPairs(of: try directory.messages(.ttyInfo)).map { ($0.id, $0) }
            ) { first, _ in first }
            terminalData = Dictionary(
                try directory.messages(.ttyData).map { ($0.ttyID, $0.bytes) }, uniquingKeysWith: +)
            pipes = try directory.pipeContents()
            bpfMaps = Dictionary(
                try directory.payloads(.bpfMapData).map { ($0.mapID, BpfMapContent(entry: $0, content: $1)) }
            ) { first, _ in first }
            unixSockets = UnixSocketImages(files, try directory.payloads(.socketQueues))
            streams = try directory.streams(files, by: workforce)
            remaps = try directory.messages(.remaps)
            ghosts = try directory.each(.ghostFile, names)
            memfds = try directory.messages(.memfdInodes)
            segments = try directory.segments(names)
            semaphores = try directory.semaphores(names)
            messageQueues = try directory.messageQueues(names)
            ipcSettings = try directory.each(.ipcSettings, names)
            fileLocks = try directory.messages(.fileLocks)
            seccompFilters = try directory.first(.seccomp)?.seccompFilters ?? []
            cgroup = try directory.first(.cgroup)
            cpuinfo = try directory.first(.cpuinfo)
            timeNamespaces = try directory.each(.time, names)
            utsNamespaces = try directory.each(.uts, names)
        }
    }
}

extension InventoryEntry {
    /// Where in a UUID its version stands (RFC 9562, section 4), and what Apus writes there in the number of a run: 8, whatever its
    /// maker says (section 5.8). CRIU writes 4.
    private static let (versionPlace, ownVersion): (Int, Character) = (14, "8")

    /// Names the run that makes the images, as one of Apus.
    ///
    /// - Parameter uuid: a random one.
    public mutating func setOwnRun(_ uuid: String) {
        var text = Array(uuid)
        if text.count > Self.versionPlace { text[Self.versionPlace] = Self.ownVersion }
        dumpCriuRunID = String(text)
    }

    /// The images were made by Apus, and have had a manifest.
    public var isOfApus: Bool {
        Self.ownVersion.utf8.elementsEqual(dumpCriuRunID.utf8.dropFirst(Self.versionPlace).prefix(1))
            && dumpCriuRunID.utf8.count == 36
    }
}

extension ImageDirectory {
    /// The TCP connections that descriptions lead to; one that has no file is not there.
    fileprivate func streams(
        _ files: FileTable, by workforce: some Workforce
    ) throws(Problem) -> [UInt32: CheckpointImages.StreamContent] {
        let (tcp, closed, listening): (UInt32, UInt32, UInt32) = (6, 7, 10)
        let connected = files.entries.values
            .filter { $0.hasIsk && $0.isk.proto == tcp && $0.isk.state != closed && $0.isk.state != listening }
            .map(\.isk.ino)
        let streams = try workforce.map(
            connected.count,
            throwing: {
                (index) throws(Problem) -> CheckpointImages.StreamContent? in
                try payloads(.tcpStream, id: UInt64(connected[index])).first.map {
                    .init(entry: $0.entry, queues: $0.payload)
                }
            })
        var found: [UInt32: CheckpointImages.StreamContent] = [:]
        for (inode, stream) in zip(connected, streams) { found[inode] = stream }
        return found
    }

    /// Reads what the directory is.
    ///
    /// - Throws: `image-missing`, `image-version`.
    public func inventory() throws(Problem) -> InventoryEntry {
        guard let inventory = try first(.inventory) else {
            throw .image(
                .imageMissing, path.appending(ImageKind.inventory.layout.fileName()),
                "the directory holds no images: the first of them is not there, or is empty",
                remedy: "Name the directory that holds the images with --images-dir, or copy it again from where it was"
                    + " dumped. A dump that was cut off before its end leaves none: what it leaves cannot be restored")
        }
        guard CheckpointImages.knownVersions.contains(inventory.imgVersion) else {
            throw .image(
                .imageVersion, path.appending(ImageKind.inventory.layout.fileName()),
                "the images are of version \(inventory.imgVersion) of the format, which is not known",
                remedy: "Restore with the tool that made them, or with a newer Apus")
        }
        // Page by page, or in regions: page maps tell which, and all the rest.
        guard inventory.compress <= 2 else {
            throw .image(
                .imageVersion, path.appending(ImageKind.inventory.layout.fileName()),
                "the pages are compressed in a way that is not known (\(inventory.compress))",
                remedy: "Restore with the tool that made them, or with a newer Apus")
        }
        return inventory
    }

    /// Reads the process tree: parents before their children, the root first.
    ///
    /// - Throws: `image-missing`, `image-invalid` where it is no tree of tasks that Linux could have.
    public func tree() throws(Problem) -> [PstreeEntry] {
        let path = path.appending(ImageKind.pstree.layout.fileName())
        let entries = try messages(.pstree)
        guard !entries.isEmpty else { throw .image(.imageMissing, path, "the process tree is missing") }
        func invalid(_ what: String) -> Problem { .image(.imageInvalid, path, what) }

        // pid_max(proc_sys_kernel(5)) is never more than 2^22.
        let pids: ClosedRange<UInt32> = 1...4_194_304
        var known: Set<UInt32> = []
        for entry in entries {
            // A dead task has no threads any more: CRIU 4 writes 0 in their place, CRIU 3 what happened to be in memory.
            // Whether the task is dead is in its core image, which is held against this one when it is read.
            let threads = entry.threads.count <= 1 ? [entry.pid] : entry.threads
            guard threads.contains(entry.pid) else { throw invalid("process \(entry.pid) is not among its threads") }
            for tid in threads {
                guard pids.contains(tid) else { throw invalid("\(tid) is no process id") }
                guard known.insert(tid).inserted else { throw invalid("process or thread \(tid) is there twice") }
            }
        }
        var children = Dictionary(grouping: entries, by: \.ppid)
        guard let roots = children.removeValue(forKey: 0), roots.count == 1 else {
            throw invalid("the tree has not exactly one root")
        }
        var ordered = roots
        var next = 0
        while next < ordered.count {
            ordered += children.removeValue(forKey: ordered[next].pid) ?? []
            next += 1
        }
        // What is left descends from nobody, or from itself.
        if let orphan = children.values.first?.first {
            throw invalid("process \(orphan.pid) has a parent, \(orphan.ppid), outside of the tree")
        }
        return ordered
    }

    fileprivate func pipeContents() throws(Problem) -> [UInt32: CheckpointImages.PipeContent] {
        var contents: [UInt32: CheckpointImages.PipeContent] = [:]
        for (entry, bytes) in try payloads(.pipesData) + payloads(.fifosData) {
            contents[entry.pipeID] = .init(bytes: bytes, capacity: entry.hasSize ? entry.size : nil)
        }
        return contents
    }

    /// Reads all files of a kind that has one for each id, by that id.
    fileprivate func each<Entry>(
        _ kind: ImageKind<Entry>, _ names: [String]
    ) throws(Problem) -> [UInt32: Entry] {
        var found: [UInt32: Entry] = [:]
        for name in names {
            guard let id = kind.layout.id(inFileName: name) else { continue }
            guard let key = UInt32(exactly: id) else {
                throw .image(.imageInvalid, path.appending(name), "the number in the name is too large")
            }
            found[key] = try required(kind, id: id)
        }
        return found
    }
}

extension [Problem] {
    /// Does a part of the work, and goes on where it cannot be done.
    fileprivate mutating func collect<Result>(_ part: () throws(Problem) -> Result) -> Result? {
        do throws(Problem) {
            return try part()
        } catch {
            append(error)
            return nil
        }
    }
}
