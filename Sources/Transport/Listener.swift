public import Diagnostics
internal import Glibc
internal import Linux
public import Logging
public import SystemPackage

/// `apus receive --listen`: takes connections, and leaves each to a process of its own.
public struct Listener {
    /// Where it listens.
    public enum Place: Sendable, Equatable {
        case tls(String)
        case unix(String)

        /// Reads `ADDRESS`, `ADDRESS:PORT` or the path of a socket.
        public init(_ text: String) { self = text.hasPrefix("/") ? .unix(text) : .tls(text) }
    }

    private let place: Place
    private let keys: HostKeys
    private let connection: [String]
    private let receiver: [String]
    private let logger: Logger
    /// Told where it listens, once it does.
    public var told: (String) -> Void = { _ in }

    /// So many connections may be in their handshake; one more, and the oldest of them has to go. So somebody who only
    /// keeps connections open keeps nobody else away.
    static let mostPending = 32
    private static let backlog: Int32 = 64

    /// - Parameters:
    ///   - connection: the program that serves a connection of TLS, which it has as its standard input.
    ///   - receiver: the one that takes a tree over its standard input and output.
    public init(_ place: Place, connection: [String], receiver: [String], state: FilePath, logger: Logger) {
        (self.place, self.connection, self.receiver, self.logger) = (place, connection, receiver, logger)
        keys = HostKeys(in: state)
    }

    /// Listens until a signal says that it is enough. Connections that have been taken go on.
    ///
    /// - Throws: `cannot-listen`, `not-paired`, `certificate-expired`, `key-unusable`.
    public func run() throws(Problem) {
        switch place {
        case .tls(let text): try listen(tls: text)
        case .unix(let path): try listen(unix: path)
        }
    }

    // MARK: TLS

    private func listen(tls text: String) throws(Problem) {
        guard let (host, port) = InternetAddress.split(text), let address = InternetAddress(host, port: port) else {
            throw Problem(
                .cannotListen, "\(text.printable) is not an address of this host",
                remedy:
                    "Give an address in figures, with a port or not, as 0.0.0.0, 192.0.2.1:12787 or [::]; or the path of a socket"
            )
        }
        guard let own = try keys.credentials() else {
            throw Problem(.notPaired, "this host has no key yet", remedy: "Run: apus receive --init")
        }
        guard !own.validity.isOver else {
            throw Problem(
                .certificateExpired, "the certificate of this host counts no more",
                remedy: "Run `apus receive --init`, which makes another, and pair the other hosts anew")
        }
        if !keys.expectsSomebody {
            logger.warning("No host is paired with this one: all will be refused. Run: apus receive --init")
        }
        let socket = try open(address)
        told((try? Sockets.name(of: socket.raw)).flatMap { InternetAddress(raw: $0) }?.text ?? address.text)
        var pending: [Pending] = []
        serve(socket) {
            pending.removeAll { $0.isOver }
        } take: { accepted throws(Errno) in
            if pending.count >= Self.mostPending {
                let oldest = pending.removeFirst()
                if !oldest.isOver {
                    logger.warning("too many connections are in their handshake: the oldest is ended")
                    try? Processes.kill(oldest.pid, signal: SIGKILL)
                }
            }
            let bell = try Files.pipe()
            let pid = try Subprocess.spawn(
                connection, descriptors: [(there: 0, here: accepted.raw), (1, bell.second.raw)])
            pending.append(Pending(pid, bell.first.release()))
        }
    }

    /// A connection that is in its handshake.
    private final class Pending {
        let pid: Int32
        private let bell: OwnedDescriptor

        init(_ pid: Int32, _ bell: Int32) {
            self.pid = pid
            self.bell = OwnedDescriptor(owning: bell)
        }

        /// The handshake is over, or whoever was at it.
        var isOver: Bool {
            var entries = [Files.PollEntry(bell.raw, .readable)]
            return ((try? Files.poll(&entries, timeout: 0)) ?? 1) > 0
        }
    }

    private func open(_ address: InternetAddress) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let socket = try Sockets.make(address.family, Sockets.stream)
            try Sockets.set(socket.raw, .reuseAddress, to: 1)
            try Sockets.bind(socket.raw, address.raw)
            try Sockets.listen(socket.raw, backlog: Self.backlog)
            return socket
        } catch {
            throw cannotListen(address.text, error)
        }
    }

    private func cannotListen(_ place: String, _ error: Errno) -> Problem {
        Problem(
            .cannotListen, "no connections can be taken at \(place.printable)",
            cause: .init(error, attempted: "bind, listen"),
            remedy: error == .addressInUse
                ? "Somebody listens there already: end that, or give another port" : "Give an address of this host")
    }

    // MARK: Unix sockets

    private func listen(unix path: String) throws(Problem) {
        let socket = try open(path)
        defer { try? Files.remove(FilePath(path)) }
        told(path)
        serve(socket) {
        } take: { accepted throws(Errno) in
            let peer = try Sockets.peerCredentials(of: accepted.raw)
            guard let peer, peer.uid == 0 || peer.uid == geteuid() else {
                logger.warning("process \(peer?.pid ?? 0) of user \(peer?.uid ?? 0) was refused")
                return
            }
            _ = try Subprocess.spawn(receiver, descriptors: [(there: 0, here: accepted.raw), (1, accepted.raw)])
        }
    }

    private func open(_ path: String) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            guard let address = UnixAddress(path) else { throw .fileNameTooLong }
            // One that nobody listens at any more was left by a crash.
            let probe = try Sockets.make(Sockets.unix, Sockets.stream)
            do throws(Errno) {
                try Sockets.connect(probe.raw, address.raw)
                throw .addressInUse
            } catch {
                if error == .connectionRefused, (try? Files.status(of: FilePath(path)))?.kind == .socket {
                    try Files.remove(FilePath(path))
                } else if error != .noSuchFileOrDirectory {
                    throw error
                }
            }
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            let usual = umask(0o177)
            defer { umask(usual) }
            try Sockets.bind(socket.raw, address.raw)
            try Sockets.listen(socket.raw, backlog: Self.backlog)
            return socket
        } catch {
            throw cannotListen(path, error)
        }
    }

    // MARK: Both

    /// - Parameters:
    ///   - tidy: called before each connection, and each second.
    ///   - take: called with each connection.
    private func serve(
        _ socket: borrowing OwnedDescriptor, tidy: () -> Void,
        take: (borrowing OwnedDescriptor) throws(Errno) -> Void
    ) {
        // accept(2) is not to wait where a connection has gone meanwhile.
        if let flags = try? Files.statusFlags(socket.raw) {
            try? Files.setStatusFlags(socket.raw, flags.union(.nonBlocking))
        }
        while !Cancellation.requested {
            var entries = [Files.PollEntry(socket.raw, .readable)]
            let ready = (try? Files.poll(&entries, timeout: 1_000_000_000)) ?? 0
            while let ended = try? Processes.wait(for: -1, [.noHang, .all]) {
                logger.info("connection \(ended.pid): \(ended.status)")
            }
            tidy()
            guard ready > 0 else { continue }
            do throws(Errno) {
                let accepted = try Sockets.accept(socket.raw)
                try take(accepted)
            } catch {
                if error == .wouldBlock || error == .interrupted { continue }
                logger.warning("a connection could not be taken: \(error)")
                // Where descriptors or processes are missing, trying at once would not help.
                usleep(100_000)
            }
        }
    }
}
