internal import Diagnostics
internal import Linux

/// Keeps new connections away from where a tree listens, from right before it is stopped until it has been dumped.
///
/// A connection that nobody has accepted yet has no descriptor, and nobody can carry it. (To accept it in the place of the
/// program would be final: there is no way to put it back for the original, should the dump fail.) So none is to come
/// while the tree stands still, when nobody accepts them; what has come before the tree accepts by itself. Whoever asks for
/// a connection meanwhile hears nothing and asks again after a second, as the protocol has it.
public final class ListenerLock {
    private var lock: NetworkLock.Passing?

    /// - Returns: nil where nobody listens, or the packet filter cannot be used: then the tree is stopped again and again
    ///   until nothing waits.
    public init?(_ table: SocketTable) {
        let ports = table.listeningPorts
        guard !ports.isEmpty, let lock = try? NetworkLock.Passing([], closing: ports) else { return nil }
        self.lock = lock
    }

    /// New connections may come again.
    public func open() { lock = nil }
}

@available(*, unavailable)
extension ListenerLock: Sendable {}

extension SocketTable {
    /// The ports on which the tree listens for TCP connections, and nobody else does, at whatever address.
    var listeningPorts: Set<UInt16> {
        var (own, others): (Set<UInt16>, Set<UInt16>) = ([], [])
        for (inode, report) in tcp where report.state == TCPSocketReport.listening {
            if held.contains(UInt64(inode)) { own.insert(report.port) } else { others.insert(report.port) }
        }
        return own.subtracting(others)
    }
}
