internal import Diagnostics
public import ImageMessages

/// All Unix sockets of a dump, and what is queued in them.
public struct UnixSocketImages: Sendable {
    /// The flag of a socket that is not part of the dump, and stands there for its name.
    public static let external: UInt32 = 1

    /// By inode, which is how they name each other.
    public var sockets: [UInt32: UnixSkEntry] = [:]
    /// By the id of the socket that they wait in, in their order.
    public var packets: [UInt32: [Packet]] = [:]

    /// Who is connected to a datagram socket: inodes by inode.
    public private(set) var connected: [UInt32: [UInt32]] = [:]
    private var listeners: [[UInt8]: UnixSkEntry] = [:]

    /// The listening socket that has a name, and that can be reached by it.
    public func listener(named name: [UInt8], type: UInt32) -> UnixSkEntry? {
        listeners[name].flatMap { $0.type == type && !$0.deleted ? $0 : nil }
    }

    /// One message.
    public struct Packet: Sendable, Equatable {
        public var payload: [UInt8]
        /// The ids of descriptions that were sent with it (SCM_RIGHTS).
        public var descriptions: [UInt32]
        /// Process, user and group of the sender (SCM_CREDENTIALS).
        public var sender: [UInt32]?
        /// The type of ancillary data that is not known.
        public var unknown: UInt32?

        public init(payload: [UInt8], descriptions: [UInt32]) {
            self.payload = payload
            self.descriptions = descriptions
        }
    }

    public init() {}

    init(_ files: FileTable, _ packets: [(entry: SkPacketEntry, payload: [UInt8])]) {
        let (datagram, listening): (UInt32, UInt32) = (2, 10)
        for entry in files.entries.values where entry.hasUsk {
            sockets[entry.usk.ino] = entry.usk
            if entry.usk.type == datagram, entry.usk.peer != 0 {
                connected[entry.usk.peer, default: []].append(entry.usk.ino)
            }
            if entry.usk.state == listening { listeners[entry.usk.nameBytes] = entry.usk }
        }
        for (entry, payload) in packets {
            var packet = Packet(payload: payload, descriptions: [])
            for ancillary in entry.scm {
                // SCM_RIGHTS and SCM_CREDENTIALS (unix(7)).
                switch ancillary.type {
                case 1: packet.descriptions += ancillary.rights
                case 2 where ancillary.rights.count == 3: packet.sender = ancillary.rights
                default: packet.unknown = ancillary.type
                }
            }
            self.packets[entry.idFor, default: []].append(packet)
        }
    }
}
