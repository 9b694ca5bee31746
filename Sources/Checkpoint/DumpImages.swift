internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// Writes what was captured of a tree into an image directory.
struct DumpImages {
    let directory: ImageDirectory
    let descriptions: Descriptions
    let counters = PageCounters()
    /// The seccomp filters of all threads.
    var seccompFilters = SeccompFilters()
    private var files: [FileKey: UInt32] = [:]
    private var nextPagesID: UInt32 = 1
    /// Of pages files, by their names in the manifest, as far as they were made while these were written.
    var digests: [String: ImageDigest] = [:]
    /// The processes that have the memory of another, which is stored as that one's.
    var memorySharers: [Int32: [Int32]] = [:]
    /// The processes of which a program is just being loaded.
    private let loading: Set<Int32>
    /// The commit will wait for the disk.
    let isDurable: Bool
    /// What was seen of large mappings, by process and address.
    private(set) var looks: [Int32: [UInt64: PageLook]] = [:]

    private struct FileKey: Hashable {
        let device: DeviceNumber
        let inode: UInt64
        let path: FilePath
    }

    init(
        _ directory: ImageDirectory, _ descriptions: Descriptions, loading: [SurveyedProcess], durable: Bool
    ) {
        self.directory = directory
        isDurable = durable
        self.loading = Set(loading.map(\.pid))
        self.descriptions = descriptions
    }

    // MARK: One process

    /// Composes all images of a process but its pages, and records what it shares with others.
    ///
    /// - Parameters:
    ///   - facts: what can be seen of it; nil for one that has ended.
    ///   - owner: whose memory it has, where that is another's.
    ///   - known: what was seen of large mappings of it, by their addresses.
    mutating func images(
        of captured: CapturedProcess, _ surveyed: SurveyedProcess, _ facts: StillFacts?, _ ids: TaskKobjIdsEntry,
        memoryOf owner: Int32? = nil, seen known: [UInt64: PageLook] = [:]
    ) throws(Problem) -> ProcessImages {
        var images = ProcessImages(pid: surveyed.pid, cores: captured.cores)
        if let owner, owner != surveyed.pid { memorySharers[owner, default: []].append(surveyed.pid) }
        for (tid, wait) in captured.waits { descriptions.supplement[.sleep, tid] = wait.json }
        guard let facts, let places = surveyed.places else { return images }
        // Rings are recorded as mappings, too.
        descriptions.ringThreads[surveyed.pid] = captured.rings
        if !captured.settings.isUsual { descriptions.supplement[.process, surveyed.pid] = captured.settings.json }
        for (tid, settings) in captured.threadSettings { descriptions.supplement[.thread, tid] = settings.json }
        let executable = try file(places.executable, for: .executed)
        let memory = try memoryEntry(captured, surveyed, facts, executable: executable)
        let pages = if let known = facts.pages { known } else { try StillFacts.Pages(surveyed, known: known) }
        looks[surveyed.pid] = pages.looks.isEmpty ? nil : pages.looks
        let traits = MemoryTraitsCapture.find(surveyed, captured, guards: pages.guards)
        if !traits.isEmpty { descriptions.supplement[.memory, surveyed.pid] = traits.json }
        for range in captured.policies.mixed {
            descriptions.note(
                loss: "\(surveyed.object.description): on which nodes its shared memory at"
                    + " \(String(range.lowerBound, radix: 16)) is, which differs within it, is not carried")
        }
        var table: [FdinfoEntry] = []
        descriptions.askAhead(surveyed.descriptors)
        for seen in surveyed.descriptors {
            let key = try descriptions.capture(seen)
            var entry = FdinfoEntry()
            entry.id = key.id
            entry.type = key.type
            entry.fd = UInt32(bitPattern: seen.number)
            entry.flags = seen.info.flags.contains(.closeOnExec) ? 1 : 0
            table.append(entry)
        }
        var context = FsEntry()
        let place = places.workingDirectory
        context.cwdID = try RegularFile.capture(
            place.path, place.status, mapped: false, ghost: place.ghost, into: descriptions)
        context.rootID = try RegularFile.capture(
            places.root.path, places.root.status, mapped: false, into: descriptions)
        context.umask = UInt32(surveyed.status.umask ?? 0o22)
        images.living = .init(ids: ids, memory: memory, descriptors: table, context: context)
        return images
    }

    /// The id of a mapped file, recorded once.
    private mutating func file(_ file: NamedFile, for uses: NeededFile.Uses) throws(Problem) -> UInt32 {
        let key = FileKey(device: file.status.device, inode: file.status.inode, path: file.path)
        if let known = files[key] {
            descriptions.needed.note(uses, of: known)
            return known
        }
        let id = try RegularFile.capture(
            file.path, file.status, mapped: true, for: uses, ghost: file.ghost, into: descriptions)
        files[key] = id
        return id
    }

    private mutating func memoryEntry(
        _ captured: CapturedProcess, _ surveyed: SurveyedProcess, _ facts: StillFacts, executable: UInt32
    ) throws(Problem) -> MmEntry {
        var entry = MmEntry()
        entry.mmStartCode = surveyed.stat.codeStart
        entry.mmEndCode = surveyed.stat.codeEnd
        entry.mmStartData = surveyed.stat.dataStart
        entry.mmEndData = surveyed.stat.dataEnd
        entry.mmStartStack = surveyed.stat.stackStart
        entry.mmStartBrk = surveyed.stat.brkStart
        entry.mmBrk = captured.attributes.heapEnd
        entry.mmArgStart = surveyed.stat.argumentsStart
        entry.mmArgEnd = surveyed.stat.argumentsEnd
        entry.mmEnvStart = surveyed.stat.environmentStart
        entry.mmEnvEnd = surveyed.stat.environmentEnd
        entry.exeFileID = executable
        entry.mmSavedAuxv = facts.auxiliaryVector
        entry.dumpable = captured.attributes.dumpable
        entry.thpDisabled = captured.attributes.hugePagesDisabled
        var areas: [VmaEntry] = []
        for (area, kind) in surveyed.areas {
            var id: UInt32 = 0
            if kind == .sharedMemory {
                id = try SharedMemoryFile.capture(
                    mappingNamed: sharedName(area), of: surveyed.eye,
                    at: SurveyedProcess.place(of: area, in: surveyed.eye), into: descriptions)
            } else if kind == .systemV {
                let place = SurveyedProcess.place(of: area, in: surveyed.eye)
                try descriptions.capture(segment: area, of: surveyed.eye, at: place)
            } else if kind == .requestRing {
                id = try IoUring.capture(
                    mapping: area, of: surveyed.pid, process: surveyed.name, into: descriptions)
            } else if kind == .packetRing {
                id = try PacketSocket.capture(
                    mapping: area, of: surveyed.pid, process: surveyed.name, into: descriptions)
            } else if let mapped = surveyed.files[area.range.lowerBound] {
                id = try file(mapped, for: uses(of: mapped, mappedAs: area, in: surveyed))
            }
            if kind == .asyncIO {
                areas.append(ring(area, of: surveyed, isDead: captured.deadRings.contains(area.range.lowerBound)))
                continue
            }
            areas.append(MemoryImage.entry(area, kind, file: id))
        }
        entry.aios = areas.filter { $0.kind.contains(.asyncIORing) }.map(AsyncRing.entry)
        entry.vmas = MemoryImage.joined(areas)
        return entry
    }

    private func uses(of file: NamedFile, mappedAs area: MappedArea, in process: SurveyedProcess) -> NeededFile.Uses {
        let uses = NeededFile.Uses(of: area)
        // What the loader will add has to fit the other code, the program alone fits anywhere.
        guard loading.contains(process.pid), area.protection.contains(.execute),
            process.places.map({ InodeIdentity($0.executable.status) }) != InodeIdentity(file.status)
        else { return uses }
        return uses.union(.loading)
    }

    /// A ring that came from the parent at a fork is nothing but memory, and only that can be made again.
    private func ring(_ area: MappedArea, of surveyed: SurveyedProcess, isDead: Bool) -> VmaEntry {
        guard isDead else { return MemoryImage.entry(area, .asyncIO, file: 0) }
        var plain = area
        plain.isShared = false
        descriptions.note(
            loss:
                "\(surveyed.object.description): the ring of asynchronous I/O at \(String(area.range.lowerBound, radix: 16)),"
                + " which it has from its parent and cannot use, becomes memory of its own")
        return MemoryImage.entry(plain, .privateAnonymous, file: 0)
    }

    private func sharedName(_ area: MappedArea) -> [UInt8] {
        switch area.name {
        case .file(let name): name
        case .none, .heap, .stack, .vdso, .vvar, .vvarClock, .vsyscall, .anonymous, .sharedAnonymous, .other:
            // Given a name of its own (PR_SET_VMA), which hides this one.
            Array("/dev/zero (deleted)".utf8)
        }
    }

    // MARK: Pages

    /// All shared memory that was come across.
    var sharedObjects: [(id: UInt32, size: UInt64, place: FilePath)] {
        let segments = descriptions.systemV?.items.map { ($0.entry.desc.id, $0.entry.size, $0.place) } ?? []
        return descriptions.sharedMemory.items.map { ($0.shmid, $0.size, $0.place) } + segments
    }

    /// Writes the pages of all shared memory.
    mutating func writeSharedPages(digesting: Bool, _ progress: Progress) throws(Problem) {
        for (id, size, place) in sharedObjects {
            let source = try SharedPages(place, size: size)
            let (runs, pagesID) = (try source.runs(), takePagesID())
            try directory.makePagesFile(pagesID, size: runs.storedSize)
            try writeMap(.shmemPagemap, id: UInt64(id), pagesID, runs, in: directory)
            counters.written += runs.storedSize / Pagemap.pageSize
            let file = try PagesDescriptor(opening: pagesID, in: directory, durable: isDurable)
            let digest = digesting ? newDigest(of: pagesID, size: runs.storedSize, in: directory) : nil
            try PageTransfer.move(runs.placed(), from: source, to: file, and: digest) { done, total in
                progress.update("writing shared memory", done: done, of: total, unit: .bytes)
            }
            if let known = digest?.finish(size: runs.storedSize) {
                digests[ImageDirectory.nameOfPages(pagesID, layer: 0)] = known
            }
        }
    }

    mutating func takePagesID() -> UInt32 {
        defer { nextPagesID += 1 }
        return nextPagesID
    }

    // MARK: The whole

    /// What the directory is: to be written when all else is there, as nobody takes a directory without it for whole.
    static func inventory() throws(Problem) -> InventoryEntry {
        var inventory = InventoryEntry()
        inventory.imgVersion = 2
        inventory.fdinfoPerID = true
        inventory.rootIds = TaskIdentities.own
        inventory.nsPerID = true
        inventory.rootCgSet = 1
        inventory.lsmtype = SecurityModule.ofHost?.type ?? .noLsm
        inventory.networkLockMethod = 0
        inventory.pluginsEntry = PluginsEntry()
        // It ties the directories of a chain together.
        inventory.setOwnRun(try RandomName.make())
        return inventory
    }

    /// Writes what belongs to no single process, but for the inventory.
    func writeCommon(_ tree: [PstreeEntry], _ clocks: TreeClocks) throws(Problem) {
        try descriptions.nameWatched()
        try directory.write(tree, as: .pstree)
        try directory.write(descriptions.entries, as: .files)
        try directory.write(payloads: descriptions.pipeContents, as: .pipesData)
        try directory.write(payloads: descriptions.fifoContents, as: .fifosData)
        try directory.write(payloads: descriptions.bpfMaps, as: .bpfMapData)
        try directory.write(payloads: descriptions.sockets.packets, as: .socketQueues)
        try write(descriptions.sockets.streams)
        if let lock = descriptions.connections?.keptName { descriptions.supplement[.network, "lock"] = .string(lock) }
        try directory.write(FileLocks.entries(of: descriptions), as: .fileLocks)
        // It tells `/dev/tty` and the terminal that it leads to apart: the terminals are complete behind it.
        let queued = descriptions.terminalData()
        try directory.write(descriptions.terminals, as: .ttyInfo)
        try directory.write(queued, as: .ttyData)
        try directory.write(descriptions.sharedMemory.inodes, as: .memfdInodes)
        try GhostImages.write(descriptions.ghosts, into: directory)
        try directory.write(
            descriptions.systemV?.items.map(\.entry) ?? [], as: .ipcSharedMemory,
            id: UInt64(TaskIdentities.own.ipcNsID))
        try directory.write(
            semaphores: descriptions.systemVRecords.semaphores, namespace: TaskIdentities.own.ipcNsID)
        try directory.write(queues: descriptions.systemVRecords.queues, namespace: TaskIdentities.own.ipcNsID)
        var seccomp = SeccompEntry()
        seccomp.seccompFilters = seccompFilters.entries
        try directory.write([seccomp], as: .seccomp)
        let record = clocks.record(in: &descriptions.supplement)
        try directory.write([record], as: .time)
        // CRIU reads that of a namespace of the tree's own by its number, and the other for nothing but the clocks of the host.
        if let own = clocks.ownNumber { try directory.write([record], as: .time, id: UInt64(own)) }
        try directory.write(descriptions.supplement)
    }

    /// A server may have thousands of connections, and each is a file.
    private func write(_ streams: [SocketRecords.Stream]) throws(Problem) {
        let directory = self.directory
        let written = Workers.map(streams.count) { index in
            Result { () throws(Problem) in
                let stream = streams[index]
                try directory.write(
                    payloads: [(stream.entry, stream.queues)], as: .tcpStream, id: UInt64(stream.inode))
            }
        }
        for result in written { try result.get() }
    }

    /// A process's place in the tree.
    static func treeEntry(_ surveyed: SurveyedProcess, parent: Int32) -> PstreeEntry {
        var entry = PstreeEntry()
        entry.pid = UInt32(bitPattern: surveyed.pid)
        entry.ppid = UInt32(bitPattern: parent)
        entry.pgid = UInt32(bitPattern: surveyed.stat.processGroup)
        entry.sid = UInt32(bitPattern: surveyed.stat.session)
        entry.threads = surveyed.isZombie ? [0] : surveyed.threads.map { UInt32(bitPattern: $0) }
        return entry
    }
}
