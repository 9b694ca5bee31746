public import Diagnostics
public import Images

/// A kind of open file description: how it is recognised, and how it is carried.
///
/// Each kind is a file of this directory and an entry in the table (`DescriptionKinds`). Nothing else in Apus
/// distinguishes kinds.
public protocol DescriptionKind: SendableMetatype {
    /// What people call it.
    static var name: String { get }

    /// Whether a descriptor is of this kind.
    static func recognises(_ seen: SeenDescriptor) -> Bool

    /// Why this one cannot be carried, where it cannot: asked before the processes are frozen, and again afterwards.
    static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem?

    /// What people call this very one, where the kind holds several sorts of things.
    static func label(of seen: SeenDescriptor) -> String

    /// What about it can stop a dump and shows only when the tree stands still, as the end of a sentence that begins
    /// with "whether"; nil where there is nothing.
    static func doubt(about seen: SeenDescriptor) -> String?

    /// The key by which the restore's caller can provide it (`--external`), where that is a way out.
    static func externalKey(of seen: SeenDescriptor) -> String?

    /// Records the description behind a descriptor of a frozen process.
    ///
    /// - Returns: under which type and id the images have it.
    static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem) -> DescriptionKey
}

extension DescriptionKind {
    public static func label(of seen: SeenDescriptor) -> String { name }
    public static func doubt(about seen: SeenDescriptor) -> String? { nil }
    public static func externalKey(of seen: SeenDescriptor) -> String? { nil }
}

/// How a descriptor names its description in images.
public struct DescriptionKey: Hashable, Sendable {
    public var type: FdTypes
    public var id: UInt32

    public init(_ type: FdTypes, _ id: UInt32) {
        self.type = type
        self.id = id
    }
}

/// What decides whether something can be carried, beside the thing itself.
public struct Circumstances: Sendable {
    /// The processes of the tree.
    public var pids: Set<Int32>
    /// Another terminal and session take the place of those outside of the tree (`--shell-job`).
    public var shellJob: Bool
    /// What the restore's caller provides (`--external`).
    public var external: Set<String>
    /// Locks on files may be carried (`--file-locks`).
    public var fileLocks: Bool
    /// A device may be opened by another name than its own, where that does not lead to it (`--evasive-devices`).
    public var evasiveDevices = false
    /// Files that have lost a name and have others may be given one more (`--link-remap`).
    public var linkRemap = false
    /// All descriptors of the tree, by process.
    public var descriptors: [Int32: [SeenDescriptor]] = [:]
    /// The most that is kept of a file without a name, in bytes (`--ghost-limit`).
    public var ghostLimit = GhostFile.usualLimit
    /// Which ends of pipes the tree holds, by the inode of the pipe.
    public var pipeEnds: [UInt64: HeldEnds] = [:]
    /// Pipes to which somebody outside of the tree holds the end that the tree lacks.
    public var pipesLeadingOut: Set<UInt64> = []
    /// Named pipes that somebody outside of the tree has open.
    public var namedPipesLeadingOut: Set<[UInt8]> = []
    /// Processes outside of the tree that have POSIX message queues of it open, by the inode of the queue.
    public var queueHolders: [UInt64: Int32] = [:]
    /// Which process outside of the tree holds a pipe, by the link of its descriptors; those that were looked for.
    public var outsideHolders: [[UInt8]: Int32] = [:]
    /// The sockets of the tree, and who is at the other end.
    public var sockets = SocketTable()
    /// The pseudo-terminals whose master is in the tree.
    public var terminals = TerminalTable()
    /// Datagram sockets may be connected to one outside of the tree (`--ext-unix-sk`).
    public var externalUnixSockets = false
    /// The numbers that images give the namespaces of the tree.
    public var namespaces = TaskKobjIdsEntry()
    /// TCP connections are carried (`--tcp-established`), or come back closed (`--tcp-close`).
    public var connections = ConnectionPolicy.refused
    /// TCP connections that wait to be accepted are broken off (`--skip-in-flight`).
    public var skipsInFlight = false
    /// TCP connections that wait to be accepted are carried: the tree has been waited for, and does not accept them.
    public var carriesWaiting = false

    public init(pids: Set<Int32>, shellJob: Bool, external: Set<String>, fileLocks: Bool) {
        self.pids = pids
        self.shellJob = shellJob
        self.external = external
        self.fileLocks = fileLocks
    }

    /// Who holds a pipe outside of the tree, for messages.
    func holder(of seen: SeenDescriptor) -> String {
        outsideHolders[seen.link].map { SocketTable.describe($0) + " outside of the tree" }
            ?? "a process outside of the tree"
    }
}

extension Problem.Code {
    /// An object of a kind that cannot be carried, or not so.
    public static let unsupported: Self = "unsupported-object"
    /// A file that cannot be found by its name any more.
    public static let fileUnreachable: Self = "file-unreachable"
    /// A file that has no name any more.
    public static let fileDeleted: Self = "file-deleted"
    /// Something of the tree whose other side is outside.
    public static let leadsOutside: Self = "leads-outside"
    /// Something is on its way for a moment, and cannot be carried so.
    public static let underWay: Self = "under-way"
    /// The kernel did not let Apus look at an object.
    public static let objectUnreadable: Self = "object-unreadable"
}
