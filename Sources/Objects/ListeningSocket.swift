internal import Diagnostics
internal import Linux
internal import SystemPackage

/// A TCP socket that will listen when all else is there.
struct ListeningSocket {
    let socket: SharedDescriptor
    let backlog: UInt32
    /// SO_REUSEADDR.
    let sharesAddress: Bool
    let port: UInt16
    /// The connections that wait to be accepted by it.
    let streams: [(stream: WaitingStream, payload: [UInt8])]

    /// Has all of them listen, and those that had connections waiting get them again.
    ///
    /// - Returns: what could not be made again, in words.
    static func listen(_ sockets: [ListeningSocket]) throws(Problem) -> [String] {
        let ports = Set(sockets.filter { !$0.streams.isEmpty }.map(\.port))
        // Whoever asks anew would come between those that wait. Without a packet filter it has to be hoped that nobody does.
        let door = ports.isEmpty ? nil : try? NetworkLock.Passing([], closing: ports)
        defer { withExtendedLifetime(door) {} }
        var lost: [String] = []
        // From here on clients are told that they are connected.
        for one in sockets {
            let raw = one.socket.descriptor.raw
            do throws(Errno) {
                try Sockets.listen(raw, backlog: Int32(clamping: one.backlog))
                try Sockets.set(raw, .reuseAddress, to: one.sharesAddress ? 1 : 0)
            } catch {
                throw Problem(
                    .nameInUse, "a TCP socket cannot listen", cause: .init(error, attempted: "listen"),
                    remedy: "End the program that listens at its address (ss -lnp shows which)")
            }
        }
        for one in sockets {
            do throws(Errno) {
                lost += try Admission.admit(one.streams, to: one.socket.descriptor.raw)
            } catch {
                throw Problem(
                    .fileUnopenable, "TCP connections that wait to be accepted cannot be made again",
                    cause: .init(error, attempted: "socket, setsockopt(TCP_REPAIR), sendto"),
                    remedy: "Run Apus as root (CAP_NET_ADMIN and CAP_NET_RAW)")
            }
        }
        return lost
    }
}

extension InetSocketEnd {
    /// Why connections that wait to be accepted cannot be made again, where there are any.
    func waitingObstacle(at site: RestoreSite) -> Problem? {
        guard let first = streams.first?.stream else { return nil }
        switch site.connectionPolicy {
        case .closed: return nil
        case .refused:
            return Problem(
                .objectUnsupported, "the images hold TCP connections that wait to be accepted (from \(first.peer))",
                remedy: "Give --tcp-established to carry them on, or --tcp-close, which breaks them off")
        case .carried: break
        }
        for (stream, _) in streams {
            do throws(Errno) {
                let socket = try Sockets.make(
                    stream.own.isSix ? Sockets.inet6 : Sockets.inet, Sockets.stream, InetSocket.tcp)
                try Sockets.setRepair(socket.raw, .on)
                try site.countOnComing(stream.own, for: socket.raw)
                try Sockets.bind(socket.raw, stream.own.encoded)
            } catch {
                return Problem(
                    .fileUnopenable,
                    "this host has not the address \(stream.own) of the TCP connection from \(stream.peer)",
                    cause: .init(error, attempted: "bind(\(stream.own))"),
                    remedy: "Give this host the address, for example with `ip address add`: a connection lives at its"
                        + " address alone. Or give --tcp-close, which breaks it off")
            }
        }
        return nil
    }
}
