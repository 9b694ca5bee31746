public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// The open file descriptions of a tree, recorded once each however many descriptors and processes share them.
public final class Descriptions {
    /// What goes into `files.img`, in the order of the ids.
    public private(set) var entries: [FileEntry] = []
    /// What is queued in pipes (`pipes-data.img`) and named pipes (`fifo-data.img`), by inode.
    public internal(set) var pipeContents: [(entry: PipeDataEntry, payload: [UInt8])] = []
    public internal(set) var fifoContents: [(entry: PipeDataEntry, payload: [UInt8])] = []
    var seenPipes: Set<UInt64> = []
    /// What is in BPF maps (`bpfmap-data.img`).
    public internal(set) var bpfMaps: [(entry: BpfmapDataEntry, payload: [UInt8])] = []
    /// Pipes, by inode, of which somebody in the tree has an end in packet mode (O_DIRECT of pipe(2)).
    private(set) lazy var packetPipes = Set(
        circumstances.descriptors.values.joined().lazy
            .filter { $0.status.kind == .fifo && $0.info.flags.contains(.direct) }.map(\.status.inode))
    /// Terminals by device (`tty-info.img`).
    public internal(set) var terminals: [TtyInfoEntry] = []
    /// What is queued in terminals, by the id of the master and the number of the pair.
    var terminalQueues: [(master: UInt32, index: UInt32, found: TerminalQueues)] = []
    /// What is queued in terminals (`tty-data.img`): asked for when all are recorded, and before the supplement.
    public func terminalData() -> [TtyDataEntry] { TerminalQueues.store(self) }
    /// Shared memory, its pages to be stored by who asks.
    public internal(set) var sharedMemory = SharedMemoryTable()
    /// Files of the host that descriptions lead to.
    public var needed = NeededFiles()
    /// What the image format has no place for.
    public var supplement = Supplement()
    /// What the tree will do without after a restore, in words.
    public internal(set) var losses: [String] = []

    /// Notes something that a restored process will be without.
    public func note(loss: String) { losses.append(loss) }
    /// Sets whose watched descriptions are yet to be named.
    var epollSets: [CapturedEpollSet] = []
    /// Under which key each descriptor has been recorded, by process and number.
    private(set) var keys: [Int32: [Int32: DescriptionKey]] = [:]
    /// Files without a name, their content to be stored by who asks.
    public internal(set) var ghosts = GhostTable()
    /// Names that files which had lost one were given.
    public let links = GivenNames()
    /// Segments of System V shared memory; nil where none was come across.
    public internal(set) var systemV: SystemVMemory?
    /// Semaphores and message queues of System V.
    public internal(set) var systemVRecords = SystemVRecords()
    /// What rings of io_uring tell one thread alone, of all threads by process.
    public var ringThreads: [Int32: [RequestRingThread]] = [:]
    /// POSIX message queues whose content is yet to be told.
    var capturedQueues: [CapturedQueue] = []
    /// Sockets, and what is queued in them.
    public internal(set) var sockets = SocketRecords()
    public let circumstances: Circumstances
    /// What sockets have that nobody has changed.
    let socketDefaults = SocketDefaults()
    /// The TCP connections of the tree, where there are any to be carried.
    public var connections: HeldConnections?
    /// What sockets have told ahead of being recorded, by inode.
    var answers: [UInt64: Result<InetSocketAnswers, Problem>] = [:]

    private var lastID: UInt32 = 0
    private var handles: [Int32: SharedDescriptor] = [:]
    private var groups: [Fingerprint: [(seen: SeenDescriptor, key: DescriptionKey)]] = [:]

    public init(_ circumstances: Circumstances) { self.circumstances = circumstances }

    /// What descriptors of one description have in common, at least.
    private struct Fingerprint: Hashable {
        let device: DeviceNumber
        let inode: UInt64
        let position: UInt64
        let flags: UInt32
    }

    /// A number for the next description.
    public func nextID() -> UInt32 {
        lastID += 1
        return lastID
    }

    func add(_ entry: FileEntry) { entries.append(entry) }

    /// Records the description behind a descriptor, unless another descriptor has done so already.
    ///
    /// - Throws: `unsupported-object`, `object-unreadable`.
    public func capture(_ seen: SeenDescriptor) throws(Problem) -> DescriptionKey {
        if let known = keys[seen.pid]?[seen.number] { return known }
        let key = try find(seen)
        keys[seen.pid, default: [:]][seen.number] = key
        return key
    }

    private func find(_ seen: SeenDescriptor) throws(Problem) -> DescriptionKey {
        let print = Fingerprint(
            device: seen.status.device, inode: seen.status.inode, position: seen.info.position,
            flags: seen.descriptionFlags)
        if let known = try place(of: seen, among: groups[print] ?? []).key { return known }
        guard let kind = DescriptionKinds.kind(of: seen) else { throw RefusedKind.problem(of: seen) }
        let key = try kind.capture(seen, into: self)
        // Looked for again: the kind may have recorded others meanwhile.
        let place = try place(of: seen, among: groups[print] ?? []).index
        groups[print, default: []].insert((seen, key), at: place)
        return key
    }

    /// Where a descriptor belongs among those that look like it, which are sorted by the kernel's own order of
    /// descriptions, and the key of the one that is the same. Event descriptors all have one inode: thousands look alike.
    private func place(
        of seen: SeenDescriptor, among group: [(seen: SeenDescriptor, key: DescriptionKey)]
    ) throws(Problem) -> (index: Int, key: DescriptionKey?) {
        var (low, high) = (0, group.count)
        while low < high {
            let middle = (low + high) / 2
            switch try compare(group[middle].seen, seen) {
            case .same: return (middle, group[middle].key)
            case .less: low = middle + 1
            case .greater: high = middle
            case .different: throw incomparable(seen, .notSupported, group[middle].seen)
            }
        }
        return (low, nil)
    }

    private func compare(_ one: SeenDescriptor, _ other: SeenDescriptor) throws(Problem) -> Processes.Order {
        do throws(Errno) {
            return try Processes.compare(one.pid, other.pid, .file(one.number, other.number))
        } catch {
            throw incomparable(other, error, one)
        }
    }

    private func incomparable(_ other: SeenDescriptor, _ error: Errno, _ one: SeenDescriptor) -> Problem {
        Problem(
            .objectUnreadable, "it cannot be told whether it shares its description with another descriptor",
            object: other.object,
            cause: .init(error, attempted: "kcmp(\(one.pid), \(other.pid), KCMP_FILE)"),
            remedy: "The kernel needs CONFIG_KCMP, and Apus the right to trace both processes")
    }

    /// Takes a descriptor of its own of the same description.
    func open(_ seen: SeenDescriptor) throws(Problem) -> OwnedDescriptor {
        let handle: Int32
        do throws(Errno) { handle = try self.handle(of: seen.pid) } catch { throw seen.unopenable(error) }
        return try seen.copy(through: handle)
    }

    /// A pidfd of a process; it belongs to this object.
    func handle(of pid: Int32) throws(Errno) -> Int32 {
        if let known = handles[pid] { return known.descriptor.raw }
        let handle = SharedDescriptor(try Processes.open(thread: pid))
        handles[pid] = handle
        return handle.descriptor.raw
    }

    /// What the description says of who is to be told by signals.
    func owner(of seen: SeenDescriptor, through descriptor: Int32) throws(Problem) -> FownEntry {
        do throws(Errno) {
            return try FileOwner.capture(descriptor)
        } catch {
            throw unreadable(seen, error, "fcntl(F_GETOWN_EX)")
        }
    }

    func unreadable(_ seen: SeenDescriptor, _ error: Errno, _ attempted: String) -> Problem {
        seen.unreadable(error, attempted)
    }

}

@available(*, unavailable)
extension Descriptions: Sendable {}
