public import ImageMessages

/// All of an image directory but the pages, in one shape whatever version wrote it, and checked so far that whoever
/// uses it may rely on what stands here.
///
/// A plain value. What was in files of its own in old dumps is where new dumps have it: timers, limits and signals in
/// the core of the leader, credentials in those of the threads, mappings in `mm`, all descriptions in `files`.
public struct CheckpointImages: Sendable {
    /// What the directory is.
    public var inventory: InventoryEntry
    /// What the dump recorded about its files; nil in images of CRIU.
    public var manifest: Manifest?
    /// What the format has no place for; empty in images of CRIU.
    public var supplement = Supplement()
    /// Every task, parents before their children, the root first.
    public var tasks: [TaskImages]
    /// Every open file description.
    public var files: FileTable
    /// Terminals by their id.
    public var terminals: [UInt32: TtyInfoEntry]
    /// What had been typed into terminals and not been read, by terminal id.
    public var terminalData: [UInt32: [UInt8]]
    /// What is queued in pipes and named pipes, by pipe id.
    public var pipes: [UInt32: PipeContent]
    /// What is in BPF maps, by the id of the map.
    public var bpfMaps: [UInt32: BpfMapContent]
    /// Unix sockets.
    public var unixSockets: UnixSocketImages
    /// TCP connections, by the inode of the socket.
    public var streams: [UInt32: StreamContent]
    /// Files that cannot be opened by their name any more.
    public var remaps: [RemapFilePathEntry]
    /// Files that were deleted while open, by the id in their file name. Their content stays in the directory.
    public var ghosts: [UInt32: GhostFileEntry]
    /// The files behind memfds.
    public var memfds: [MemfdInodeEntry]
    /// Segments of System V shared memory, of all namespaces.
    public var segments: [SegmentImage]
    /// Sets of System V semaphores, of all namespaces.
    public var semaphores: [SemaphoreImage]
    /// Queues of System V messages, of all namespaces.
    public var messageQueues: [MessageQueueImage]
    /// Settings of IPC namespaces, by namespace id.
    public var ipcSettings: [UInt32: IpcVarEntry]
    public var fileLocks: [FileLockEntry]
    /// Seccomp filters; threads name theirs by its index.
    public var seccompFilters: [SeccompFilter]
    public var cgroup: CgroupEntry?
    /// What the processor could do; nil where the dump did not record it.
    public var cpuinfo: CpuinfoEntry?
    /// Clock offsets by namespace id.
    public var timeNamespaces: [UInt32: TimensEntry]
    /// Host and domain names by namespace id.
    public var utsNamespaces: [UInt32: UtsnsEntry]

    /// What is in a BPF map.
    public struct BpfMapContent: Sendable, Equatable {
        public var entry: BpfmapDataEntry
        /// All keys, then all values.
        public var content: [UInt8]

        public init(entry: BpfmapDataEntry, content: [UInt8]) {
            self.entry = entry
            self.content = content
        }
    }

    /// A TCP connection.
    public struct StreamContent: Sendable, Equatable {
        public var entry: TcpStreamEntry
        /// What was received and not read, then what was sent and not acknowledged.
        public var queues: [UInt8]
    }

    /// What is queued in a pipe.
    public struct PipeContent: Sendable, Equatable {
        public var bytes: [UInt8]
        /// The size of the pipe's buffer; nil in old dumps.
        public var capacity: UInt32?
    }

    /// The task that all others descend from.
    public var root: TaskImages? { tasks.first }

    /// The task with this pid.
    public func task(_ pid: Int32) -> TaskImages? { tasks.first { $0.pid == pid } }
}

/// All images of one task.
public struct TaskImages: Sendable {
    /// As the namespace of the dump numbers it.
    public var pid: Int32
    /// 0 for the root.
    public var parent: Int32
    public var processGroup: Int32
    public var session: Int32
    public var state: TaskState
    /// The core of the leader, with its task-wide part (`tc`).
    public var core: CoreEntry
    /// The leader first. A dead task has no more.
    public var threads: [ThreadImages]
    /// Nil for a dead task, which has none of what follows.
    public var ids: TaskKobjIdsEntry?
    public var memory: MmEntry?
    public var pagemap: Pagemap?
    public var fs: FsEntry?
    /// The descriptor table, sorted by number.
    public var descriptors: [FdinfoEntry]

    /// The first thread had ended while others lived: its core holds no registers.
    public var hasLostLeader: Bool { state != .dead && !core.hasThreadInfo }

    /// The task-wide part of the core.
    public var task: TaskCoreEntry { core.tc }
}

/// The image of one thread.
public struct ThreadImages: Sendable {
    /// As the namespace of the dump numbers it.
    public var tid: Int32
    public var core: CoreEntry
}

/// Open file descriptions by type and id.
public struct FileTable: Sendable {
    /// How a descriptor names its description.
    public struct Key: Hashable, Sendable, CustomStringConvertible {
        public var type: FdTypes
        public var id: UInt32

        public init(_ type: FdTypes, _ id: UInt32) {
            self.type = type
            self.id = id
        }

        public var description: String { "\(type) \(id)" }
    }

    /// All descriptions.
    public var entries: [Key: FileEntry]

    public init(_ entries: [Key: FileEntry] = [:]) { self.entries = entries }

    /// The description behind a descriptor.
    public subscript(_ descriptor: FdinfoEntry) -> FileEntry? { entries[Key(descriptor.type, descriptor.id)] }

    /// A description of a regular file, directory or device: also what mappings (`VmaEntry.shmid`), executables
    /// (`MmEntry.exeFileID`) and working directories (`FsEntry.cwdID`) name by an id alone.
    public func regular(_ id: UInt32) -> RegFileEntry? {
        guard let entry = entries[Key(.reg, id)], entry.hasReg else { return nil }
        return entry.reg
    }
}
