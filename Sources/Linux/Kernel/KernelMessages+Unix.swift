public import SystemPackage

/// Of Unix sockets (struct unix_sock and struct unix_skb_parms of net/af_unix.h).
extension KernelMessages {
    /// A connection that nobody has accepted yet, as the one who will accept it will find it.
    public struct Waiting: Sendable {
        /// What was sent, without descriptors.
        public var messages: [SocketMessage] = []
        /// Of each message the files whose descriptors were sent with it (struct file).
        public var files: [[UInt64]] = []
        /// Who has connected; nil where the kernel does not say.
        public var client: StandIn?
    }

    /// The connections that wait to be accepted, in that order (struct sock).
    ///
    /// - Parameter listener: struct sock of a socket that listens.
    public func connections(waitingAt listener: UInt64) throws(Errno) -> [UInt64] {
        try all(ofQueueOf: listener).map(\.owner)
    }

    /// The other end of a connection (struct sock); 0 where there is none.
    public func peer(of socket: UInt64) throws(Errno) -> UInt64 { try kernel.pointer(socket, "unix_sock", "peer") }

    /// What waits on a connection.
    ///
    /// - Throws: EOPNOTSUPP where it is nothing that can be sent again: urgent data (MSG_OOB).
    public func waiting(on connection: UInt64) throws(Errno) -> Waiting {
        var found = Waiting()
        // Kernels without CONFIG_AF_UNIX_OOB have no such thing.
        if let place = try? kernel.offset("unix_sock", "oob_skb"), try kernel.word(at: connection + place) != 0 {
            throw .notSupported
        }
        for message in try all(ofQueueOf: connection) {
            var sent = SocketMessage(try payload(of: message))
            let control = message.address + (try kernel.offset("sk_buff", "cb"))
            let parameters = "unix_skb_parms"
            sent.credentials = SocketMessage.Credentials(
                pid: try pid(try kernel.pointer(control, parameters, "pid")),
                uid: try kernel.number(control, parameters, "uid"),
                gid: try kernel.number(control, parameters, "gid"))
            found.messages.append(sent)
            found.files.append(try files(try kernel.pointer(control, parameters, "fp")))
        }
        found.client = try? client(of: connection)
        return found
    }

    /// - Parameter list: struct scm_fp_list, or 0.
    private func files(_ list: UInt64) throws(Errno) -> [UInt64] {
        if list == 0 { return [] }
        let place = list + (try kernel.offset("scm_fp_list", "count"))
        let count = Int(try kernel.bytes(2, at: place)[...].integer(at: 0, of: UInt16.self))
        // SCM_MAX_FD.
        guard count <= 253 else { throw .badMessage }
        let first = list + (try kernel.offset("scm_fp_list", "fp"))
        var found: [UInt64] = []
        for index in 0..<count { found.append(try kernel.word(at: first + 8 * UInt64(index))) }
        return found
    }

    /// The number of a process in the pid namespace that Apus is in; 0 where it has none there.
    ///
    /// - Parameter pid: struct pid, or 0.
    private func pid(_ pid: UInt64) throws(Errno) -> Int32 {
        if pid == 0 { return 0 }
        let own = try kernel.pointer(kernel.task(), "task_struct", "thread_pid")
        let level = try kernel.number(own, "pid", "level")
        guard level <= (try kernel.number(pid, "pid", "level")) else { return 0 }
        guard let size = kernel.types.size(of: "upid") else { throw .notSupported }
        let place = try kernel.offset("pid", "numbers") + UInt64(level) * UInt64(size)
        guard try kernel.pointer(own + place, "upid", "ns") == kernel.pointer(pid + place, "upid", "ns") else {
            return 0
        }
        return Int32(bitPattern: try kernel.number(pid + place, "upid", "nr"))
    }

    /// Who has connected: SO_PEERCRED and SO_PEERGROUPS of the end that will be accepted.
    private func client(of connection: UInt64) throws(Errno) -> StandIn? {
        let rights = try kernel.pointer(connection, "sock", "sk_peer_cred")
        if rights == 0 { return nil }
        let groups = try kernel.pointer(rights, "cred", "group_info")
        let count = try kernel.number(groups, "group_info", "ngroups")
        guard count <= 65536 else { throw .badMessage }
        let first = groups + (try kernel.offset("group_info", "gid"))
        let bytes = try kernel.bytes(4 * Int(count), at: first)
        return StandIn(
            pid: try pid(try kernel.pointer(connection, "sock", "sk_peer_pid")),
            uid: try kernel.number(rights, "cred", "euid"), gid: try kernel.number(rights, "cred", "egid"),
            groups: (0..<Int(count)).map { bytes[...].integer(at: 4 * $0, of: UInt32.self) })
    }
}
