public import Diagnostics
public import Images
public import Linux
public import SystemPackage

/// Something that Apus opens itself, once, before it makes the tree that inherits it: an open file description, the
/// memory behind a shared mapping, a pages file.
///
/// A resource is a plain value. What it says in `description` is what a dry run prints.
public protocol Resource: Sendable, CustomStringConvertible {
    /// What stands in the way of opening it on this host. Nothing is made or changed.
    func obstacles(at site: RestoreSite) -> [Problem]
    /// By which names a descriptor of Apus' caller can stand in for it (`--inherit-fd`).
    var keys: [String] { get }
    /// Whether others need it to be open first: a network device that sockets are bound to.
    var comesFirst: Bool { get }
    /// Whether it is to be opened when everything else is open.
    var comesLast: Bool { get }
    /// Whether the processes of the tree have to be there before it can be opened: these then fetch it from Apus
    /// (pidfd_getfd(2)), as they cannot inherit it.
    var needsProcesses: Bool { get }
    /// The unnamed pipe that it is an end of, by its id in the images: what has one pipe in common is opened one behind
    /// the other, and the pipe then let go.
    var pipe: UInt32? { get }
    /// How many descriptors, at the most, Apus has open for it beside the one that the tree inherits.
    var extraDescriptors: Int { get }
    /// Opens it.
    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor
}

extension Resource {
    public var comesFirst: Bool { false }
    public var comesLast: Bool { false }
    public var needsProcesses: Bool { false }
    public var keys: [String] { [] }
    public var pipe: UInt32? { nil }
    public var extraDescriptors: Int { 1 }
}

/// The place where a tree is being restored: what its resources share while they are opened.
public final class RestoreSite {
    /// Where the images are.
    public let images: ImageDirectory
    /// Descriptors of Apus' caller that stand in for files, by the key that names the file (`--inherit-fd`).
    public let inherited: [String: Int32]
    /// The caller's terminal takes the place of the one that the dump left outside (`--shell-job`).
    public let shellJob: Bool
    /// Terminals come back under the numbers that they had, or nothing is restored.
    public var exactTerminals = false
    /// Which terminals have another number, in words.
    var renumberedTerminals: [String] = []
    /// Whether Apus sees the other processes of its host: in a pid namespace that it has made for the tree it does not.
    public var seesOutside = true
    var pipes: [UInt32: PipeEnds] = [:]
    /// Both ends of each named pipe, until all of its descriptions are open.
    var namedPipes: [UInt32: SharedDescriptor] = [:]
    var givenPipes = GivenPipes()
    var memoryFiles: [UInt64: SharedDescriptor] = [:]
    /// BPF maps, by their ids at the dump.
    var bpfMaps: [UInt32: SharedDescriptor] = [:]
    /// Seals that forbid mappings which the tree has yet to make.
    var lateSeals: [(file: SharedDescriptor, seals: UInt32)] = []
    /// Files without a name, by their id in the images.
    var deletedFiles: [UInt32: SharedDescriptor] = [:]
    /// Those of them whose first description is yet to be taken.
    var temporaryFiles: Set<UInt32> = []
    /// Processes that have ended, by the inodes of their pidfds.
    var endedProcesses: [UInt32: EndedProcess] = [:]
    var segments = SegmentsAtWork()
    /// POSIX message queues by their inodes at the dump, and those whose names go again, or whose messages come back, if the
    /// restore fails.
    var posixQueues: [UInt64: SharedQueue] = [:]
    var madeQueues: Set<[UInt8]> = []
    var changedQueues: [[UInt8]: [PosixQueues.Message]] = [:]
    var unixSockets = UnixSocketWorkshop()
    /// Pseudo-terminals, by their numbers.
    var terminals: [UInt32: OpenTerminal] = [:]
    /// What terminals of the host were set to, if the restore fails.
    var changedTerminals: [FilePath: Terminal.Settings] = [:]
    /// Devices that are opened in place of those that the dump left outside, by the keys of these (`--external dev[VALUE]:PATH`).
    public var devices: [String: FilePath] = [:]
    /// Those that get hung up, by the ids of the images.
    var hungUpTerminals: [UInt32: OpenTerminal] = [:]
    /// TCP sockets that will listen, with their backlogs, and whether SO_REUSEADDR is set.
    var listening: [ListeningSocket] = []
    /// Names that the dump has made for files without one, and that the tree does not need once it runs.
    var namesToRemove: [FilePath] = []
    /// Which of this host's files will do, and what is taken instead of others.
    public let choices: FileChoices
    /// Copies that the dump took along.
    let copies: CopyStore
    /// Files that are put in place when the tree runs, by their paths.
    var placings: [FilePath: FilePlacing] = [:]
    /// What becomes of TCP connections.
    public var connectionPolicy = ConnectionPolicy.refused
    public let connections = ConnectionsAtRestore()
    /// Addresses of IP that this host does not have yet, and will have before a tree is made: a check counts on them.
    public var comingAddresses: Set<[UInt8]> = []
    /// Names that were made in the file system, and that go again if the restore fails.
    var madeFiles: [FilePath] = []

    /// What the tree has to do without on this host, in words.
    public var losses: [String] {
        unixSockets.losses.sorted() + renumberedTerminals + lostDatagrams + lostStreams + lostRoutes + lostEvents
    }
    private var lostDatagrams: [String] = []
    private var lostStreams: [String] = []
    /// What tunnel devices are without, in words.
    var lostRoutes: [String] = []
    /// Queues that do not know of the events that they have lost, in words.
    var lostEvents: [String] = []

    /// Fills the queue of a socket; what cannot be delivered on this host is lost, as datagrams may be.
    func deliver(_ queued: DatagramDelivery, to socket: Int32, _ name: String) throws(Errno) {
        let missing = try queued.fill(socket)
        if missing > 0 {
            lostDatagrams.append(
                "\(name): \(missing) of the \(queued.messages.count) datagrams that waited in it are lost: they cannot be"
                    + " delivered over the loopback device of this host (ip link set lo up; rules of nftables)")
        }
    }

    /// Has a socket put a datagram together again.
    func begin(_ unfinished: UnfinishedDatagram?, _ payload: [UInt8], at socket: Int32, _ end: InetSocketEnd) {
        guard let unfinished, !end.isTCP else { return }
        do throws(Errno) {
            try unfinished.begin(payload, at: socket, isSix: end.own.isSix)
        } catch {
            lostDatagrams.append(
                "\(end): the datagram that it was putting together is lost: no route leads to its receiver")
        }
    }

    public init(
        images: ImageDirectory, inherited: [String: Int32], shellJob: Bool, choices: FileChoices = FileChoices(),
        state: FilePath = CopyStore.usualState
    ) {
        self.images = images
        self.choices = choices
        copies = CopyStore(images, state: state)
        self.inherited = inherited
        self.shellJob = shellJob
    }

    /// Forgets what was made for an attempt that was taken back.
    public func beginAnew() {
        connections.beginAnew()
        letGo()
    }

    /// Lets go of what the tree has inherited, but for the connections.
    public func letGo() {
        pipes = [:]
        givenPipes.leave()
        memoryFiles = [:]
        bpfMaps = [:]
        lateSeals = []
        deletedFiles = [:]
        temporaryFiles = []
        endedProcesses = [:]
        segments.leave()
        namedPipes = [:]
        posixQueues = [:]
        unixSockets = UnixSocketWorkshop()
        lostDatagrams = []
        lostStreams = []
        lostRoutes = []
        lostEvents = []
        renumberedTerminals = []
        listening = []
        terminals = [:]
        hungUpTerminals = [:]
    }

    /// Lets go of a pipe of which all descriptions are open.
    public func letGo(ofPipe pipe: UInt32) { pipes[pipe] = nil }

    /// Removes the names that were made in the file system for a restore that failed.
    public func removeMadeFiles() {
        for path in madeFiles { try? Files.remove(path) }
        madeFiles = []
    }

    /// Does what needs all descriptions to be there, and none of the processes.
    public func connect() throws(Problem) { try unixSockets.connectAll() }

    /// Does what needs all descriptions and all processes to be there already: fills the queues of sockets, connects
    /// some, and gives them their options. Files in memory get the seals that had to wait.
    ///
    /// - Parameter descriptors: Apus' descriptors of the descriptions, by the ids of the images.
    public func complete(_ descriptors: [UInt32: Int32]) throws(Problem) {
        try unixSockets.complete(descriptors)
        try segments.limitQueues()
        try givenPipes.fill()
        try completeTerminals()
        for late in lateSeals {
            do throws(Errno) { try Files.addSeals(late.file.descriptor.raw, late.seals) } catch {
                throw Problem(
                    .fileUnopenable, "a memfd cannot be sealed", cause: .init(error, attempted: "fcntl(F_ADD_SEALS)"),
                    remedy: "This kernel is too old for its seals: restore where `uname -r` is as at the dump")
            }
        }
        // From here on clients are told that they are connected.
        lostStreams += try ListeningSocket.listen(listening)
    }

    /// A copy of the descriptor that stands in for a resource, or nil where none does.
    func substitute(for key: String) throws(Problem) -> OwnedDescriptor? {
        guard let descriptor = inherited[key] else { return nil }
        do throws(Errno) {
            return try Files.duplicate(descriptor)
        } catch {
            throw Problem(
                .inheritedDescriptor, "descriptor \(descriptor), which is to stand in for \(key), is not open",
                object: .init(fd: descriptor), cause: .init(error, attempted: "fcntl(\(descriptor), F_DUPFD_CLOEXEC)"),
                remedy: "Open it before Apus is started, for example with `\(descriptor)<>FILE` in the shell")
        }
    }
}

@available(*, unavailable)
extension RestoreSite: Sendable {}

extension Problem.Code {
    public static let inheritedDescriptor: Self = "inherited-descriptor"
    public static let fileMissing: Self = "file-missing"
    public static let fileChanged: Self = "file-changed"
    public static let fileUnopenable: Self = "file-unopenable"
    public static let noTerminal: Self = "no-terminal"
    public static let objectUnsupported: Self = "object-unsupported"
}
