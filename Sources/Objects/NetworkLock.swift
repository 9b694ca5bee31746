public import Diagnostics
internal import Linux
internal import SystemPackage

/// Keeps the segments of connections away from this host and from the network while their sockets are not there, or
/// are not what they have to be: a segment that finds no socket would be answered by a reset.
///
/// There are two kinds of locks, both tables of the packet filter (`PacketFilter`). One lasts while Apus works, and
/// belongs to a socket: it ends with Apus, whatever ends Apus. The other stays when a dump has ended the processes, until
/// a restore has made them again.
public enum NetworkLock {
    /// Segments that Apus itself forges carry this mark, and pass. It is the one that CRIU gives those that it forges
    /// when it restores, so that it can restore what Apus has dumped and locked.
    static let mark: UInt32 = 0xc114

    static let keptPrefix = "apus-kept-"
    static let passingPrefix = "apus-work-"

    /// Whether a name is one that a kept lock may have: a name in images must not have Apus remove other tables.
    public static func isKept(_ name: String) -> Bool {
        guard name.hasPrefix(keptPrefix) else { return false }
        let rest = name.utf8.dropFirst(keptPrefix.utf8.count)
        return rest.count == 36
            && rest.allSatisfy {
                ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
                    || ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "f")) || $0 == UInt8(ascii: "-")
            }
    }

    /// A lock that lasts as long as this value, or as a process that has a copy of its socket.
    final class Passing {
        let socket: OwnedDescriptor
        let name: String

        /// - Parameters:
        ///   - identity: that of the kept lock that belongs to it; nil for one of its own.
        ///   - ports: new connections to these are dropped too.
        /// - Throws: `network-lock`.
        init(
            _ connections: Set<PacketFilter.Connection>, identity: String? = nil, closing ports: Set<UInt16> = []
        ) throws(Problem) {
            let own: String
            if let identity { own = identity } else { own = try RandomName.make() }
            name = NetworkLock.passingPrefix + own
            do throws(Errno) {
                socket = try PacketFilter.open()
                try PacketFilter.apply(
                    PacketFilter.making(
                        name, isOwned: true, dropping: connections, passing: NetworkLock.mark, closing: ports),
                    through: socket.raw)
            } catch {
                throw NetworkLock.failure(error)
            }
        }
    }

    /// For how many seconds a kept lock has those who ask for new connections ask again instead of being refused. Longer, and
    /// somebody else who takes the port over while the tree is away would wonder.
    private static let doorTime: UInt64 = 60

    /// Makes a lock that stays.
    ///
    /// - Parameter ports: where the tree listens.
    /// - Throws: `network-lock`.
    static func keep(
        _ name: String, _ connections: Set<PacketFilter.Connection>, closing ports: Set<UInt16>, comment: String
    ) throws(Problem) {
        do throws(Errno) {
            let socket = try PacketFilter.open()
            try PacketFilter.apply(
                PacketFilter.making(
                    name, isOwned: false, dropping: connections, passing: mark, closing: ports, forSeconds: doorTime,
                    comment: comment),
                through: socket.raw)
        } catch {
            throw failure(error)
        }
    }

    /// Removes a lock that stays.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    public static func remove(_ name: String) -> Bool {
        guard let socket = try? PacketFilter.open() else { return false }
        return (try? PacketFilter.apply(PacketFilter.removing(name), through: socket.raw)) != nil
    }

    /// Whether there is such a lock.
    static func isThere(_ name: String) -> Bool {
        ((try? PacketFilter.tables()) ?? []).contains { $0.name == name }
    }

    static func failure(_ error: Errno) -> Problem {
        Problem(
            .networkLock, "the network cannot be kept away from the connections",
            cause: .init(error, attempted: "a table of nftables"),
            remedy: error == .notPermitted
                ? "Run Apus with CAP_NET_ADMIN in the network namespace of the process"
                : "The kernel needs nf_tables (modprobe nf_tables nf_tables_inet) and Linux 5.12, with --network-lock iptables"
                    + " as well; or keep the network away by yourself and give --network-lock skip")
    }
}

extension Problem.Code {
    /// The network could not be locked.
    public static let networkLock: Self = "network-lock"
}
