internal import Crypto
public import Diagnostics
internal import Linux
internal import NIOCore
public import SystemPackage

/// The way to `apus receive --listen` on another host, or on this one.
public struct Outbound: Sendable {
    /// What carries the bytes.
    public enum Way: String, Sendable {
        case tls, unix
    }

    private let way: Way
    /// As the user has written it.
    private let place: String
    private let keys: HostKeys

    /// For how long the other side may take until it has taken up the connection.
    private static let patience: UInt64 = 10_000_000_000

    /// - Parameters:
    ///   - place: a host, with a port or not, or the path of a socket.
    ///   - state: where Apus keeps what outlives a run.
    public init(_ way: Way, to place: String, state: FilePath) {
        (self.way, self.place) = (way, place)
        keys = HostKeys(in: state)
    }

    // MARK: Relaying

    /// Joins a program with the other host until one of them ends.
    ///
    /// - Parameters:
    ///   - input: where the bytes for the other host come from.
    ///   - output: where those that come from there go.
    /// - Throws: why the other host does not take the connection; nothing has gone to `output` then. What happens later shows as
    ///   the end of the connection.
    public func relay(input: Int32, output: Int32) throws(Problem) {
        let limit = SystemClock.monotonic.now + Self.patience
        let link: Link
        switch way {
        case .unix: link = try unixLink()
        case .tls:
            let (host, port) = try destination()
            guard let own = try keys.credentials(), let known = keys.receiver(host) else { throw unknown(host) }
            guard !own.validity.isOver else {
                throw Problem(
                    .certificateExpired, "the certificate of this host counts no more", remedy: pairing(host))
            }
            link = try tlsLink(host, port, own, until: limit) { Self.objection(to: $0, of: host, known) }
            do { try link.shakeHands(until: limit, hearsAnswer: true) } catch { throw reason(error, link, host) }
        }
        // The end of the connection says all that can be said now.
        try? Relay(link, input: input, output: output).run()
    }

    private static func objection(to certificate: PeerCertificate, of host: String, _ known: Fingerprint) -> Problem? {
        if certificate.fingerprint != known {
            return Problem(
                .notPaired, "who answers at \(host.printable) is not the host that was paired under this name",
                remedy:
                    "If it has been set up anew, pair it anew: `apus receive --init` there, `apus migrate --pair \(host.printable)` here. If not, somebody stands between"
            )
        }
        if certificate.validity.isOver || certificate.validity.isYetToCome {
            return Problem(
                .certificateExpired,
                "the certificate of \(host.printable) counts \(certificate.validity.isOver ? "no more" : "not yet")",
                remedy:
                    "See that the clocks of both hosts are right. If they are, pair anew: `apus receive --init` there, `apus migrate --pair \(host.printable)` here"
            )
        }
        return nil
    }

    private func unknown(_ host: String) -> Problem {
        let others = keys.receiverNames.map(\.printable)
        return Problem(
            .notPaired, "\(host.printable) is not paired with this host",
            remedy: pairing(host)
                + (others.isEmpty ? "" : ". Paired are, under these names: \(others.joined(separator: ", "))"))
    }

    private func pairing(_ host: String) -> String {
        "Run `apus receive --init` there, and `apus migrate --pair \(host.printable)` here"
    }

    /// Why a handshake has failed.
    private func reason(_ error: any Error, _ link: Link, _ host: String) -> Problem {
        if let refusal = link.refusal { return refusal }
        if case Link.HandshakeFailure.late = error {
            return Problem(
                .unreachable, "\(host.printable) does not answer", remedy: "See that `apus receive --listen` runs there"
            )
        }
        if link.isEstablished {
            return Problem(
                .notPaired, "\(host.printable) does not know this host, or not any more",
                remedy: pairing(host) + ". What `apus receive --listen` has printed there says more")
        }
        return Problem(
            .tlsFailed, "\(host.printable) does not speak TLS 1.3 as Apus does (\(error))",
            remedy: "See that it is `apus receive --listen` that listens there, and that the port is right")
    }

    // MARK: Pairing

    /// Makes the other host one that takes trees from this one.
    ///
    /// - Returns: how it is called.
    /// - Throws: `not-paired` where the token is good no more, and others.
    public func pair(_ token: PairingToken) throws(Problem) -> String {
        let limit = SystemClock.monotonic.now + Self.patience
        let (host, port) = try destination()
        let own = try keys.credentialsMadeIfNeeded()
        let once: Credentials
        do { once = try .shortLived(key: token.key, name: HostKeys.node) } catch {
            throw Problem(.badToken, "the token stands for no key (\(error))", remedy: "Make another")
        }
        let link = try tlsLink(host, port, once, until: limit) { certificate in
            token.means(certificate.fingerprint)
                ? nil
                : Problem(
                    .notPaired, "who answers at \(host.printable) is not the host that has printed the token",
                    remedy:
                        "See that the name is right, and that the token is its newest: `apus receive --init` there makes another"
                )
        }
        do {
            try link.shakeHands(until: limit, hearsAnswer: false)
            try link.send(sized: own.der)
            try link.send(sized: Array(HostKeys.node.utf8))
            let name = try link.receiveSized(atMost: 64, until: limit)
            guard let peer = link.peer else { throw Link.HandshakeFailure.gone }
            try keys.addReceiver(peer.fingerprint, host: host)
            link.close(until: SystemClock.monotonic.now + 1_000_000_000)
            return HostKeys.name(name)
        } catch let problem as Problem {
            throw problem
        } catch {
            var problem = reason(error, link, host)
            if problem.code == .notPaired, link.refusal == nil {
                problem.summary = "\(host.printable) does not take the token: it is good once, and for an hour"
                problem.remedy = "Make another by `apus receive --init` there"
            }
            throw problem
        }
    }

    // MARK: Reaching it

    private func destination() throws(Problem) -> (host: String, port: UInt16) {
        guard !place.utf8.contains(UInt8(ascii: "@")), let (host, port) = InternetAddress.split(place) else {
            throw Problem(
                .unreachable, "\(place.printable) is not the name of a host",
                remedy: "Give HOST, HOST:PORT or [ADDRESS]:PORT, without a user")
        }
        return (host, port)
    }

    private func tlsLink(
        _ host: String, _ port: UInt16, _ own: Credentials, until limit: UInt64,
        judge: @escaping (PeerCertificate) -> Problem?
    ) throws(Problem) -> Link {
        let socket = try connect(host, port, until: limit)
        do { return try Link(socket, TLSChannel(.client, own, judge: judge)) } catch {
            throw Problem(.tlsFailed, "no connection can be made: \(error)", remedy: "Report this")
        }
    }

    private func connect(_ host: String, _ port: UInt16, until limit: UInt64) throws(Problem) -> OwnedDescriptor {
        var failure: Errno?
        for address in InternetAddress.resolve(host, port: port) {
            do throws(Errno) { return try Self.connect(address, until: limit) } catch { failure = error }
        }
        guard let failure else {
            throw Problem(
                .unreachable, "no host is called \(host.printable)",
                remedy: "See that the name is right: getent ahosts NAME"
            )
        }
        throw Problem(
            .unreachable, "\(host.printable) cannot be reached at port \(port)",
            cause: .init(failure, attempted: "connect"),
            remedy: "See that `apus receive --listen` runs there, and that no firewall keeps it")
    }

    private static func connect(_ address: InternetAddress, until limit: UInt64) throws(Errno) -> OwnedDescriptor {
        let nonBlocking: Int32 = 0o4000
        let socket = try Sockets.make(address.family, Sockets.stream | nonBlocking)
        do throws(Errno) { try Sockets.connect(socket.raw, address.raw) } catch {
            guard error == .nowInProgress || error == .interrupted else { throw error }
            while true {
                let now = SystemClock.monotonic.now
                if now >= limit || Cancellation.requested { throw .timedOut }
                var entries = [Files.PollEntry(socket.raw, .writable)]
                if try Files.poll(&entries, timeout: min(limit - now, 500_000_000), retrying: true) > 0 { break }
            }
            let result = try Sockets.number(of: socket.raw, .error)
            if result != 0 { throw Errno(rawValue: result) }
        }
        return socket
    }

    private func unixLink() throws(Problem) -> Link {
        do throws(Errno) {
            guard let address = UnixAddress(place) else { throw .fileNameTooLong }
            let socket = try Sockets.make(Sockets.unix, Sockets.stream)
            try Sockets.connect(socket.raw, address.raw)
            return try Link(socket, nil)
        } catch {
            throw Problem(
                .unreachable, "nobody listens there", object: .init(path: place),
                cause: .init(error, attempted: "connect"),
                remedy: "Run `apus receive --listen \(place.printable)` on the other side, as the same user")
        }
    }
}
