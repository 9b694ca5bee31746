public import Diagnostics
internal import Linux
public import Logging
internal import NIOCore
internal import NIOSSL
public import SystemPackage

/// One connection that `apus receive --listen` has taken, in a process of its own: what happens to it happens to no other.
public struct Reception {
    /// Where the connection is, and where it is said that the handshake is over, by closing.
    public var (connection, doorbell): (Int32, Int32) = (0, 1)
    /// The program that takes a tree over its standard input and output.
    public let receiver: [String]
    /// What a host that is taken is told first.
    public let greeting: [UInt8]
    private let keys: HostKeys
    private let logger: Logger

    /// How long a handshake may take, in nanoseconds.
    private static let patience: UInt64 = 10_000_000_000

    public init(receiver: [String], greeting: [UInt8], state: FilePath, logger: Logger) {
        (self.receiver, self.greeting, self.logger) = (receiver, greeting, logger)
        keys = HostKeys(in: state)
    }

    /// Serves it.
    ///
    /// - Returns: the exit status.
    /// - Throws: `not-paired` and others: the connection was refused.
    public func serve() throws(Problem) -> Int32 {
        let peer = (try? Sockets.peerName(of: connection)).flatMap { InternetAddress(raw: $0) }?.text ?? "somebody"
        guard let own = try keys.credentials() else {
            throw Problem(.notPaired, "this host has no key yet", remedy: "Run: apus receive --init")
        }
        let link = try accept(own, peer)
        guard let certificate = link.peer else { throw refused(peer, "it has shown no certificate") }
        if let name = keys.sender(certificate.fingerprint) {
            logger.info("\(name) (\(peer)) is taken")
            return try receive(link)
        }
        return try pair(link, certificate.key, peer)
    }

    private func accept(_ own: Credentials, _ peer: String) throws(Problem) -> Link {
        let keys = keys
        let link: Link
        do {
            let socket = try Files.duplicate(connection, from: 3)
            let nothing = try Files.open("/dev/null", .readWrite)
            try Files.duplicate(nothing.raw, as: connection, closeOnExec: false)
            link = try Link(
                socket,
                TLSChannel(.server, own) { certificate in
                    let isKnown = keys.sender(certificate.fingerprint) != nil
                    if !isKnown && !keys.hasTicket(certificate.key) {
                        return Problem(
                            .notPaired, "its certificate is not paired: \(certificate.fingerprint)", remedy: "")
                    }
                    if certificate.validity.isOver || certificate.validity.isYetToCome {
                        return Problem(
                            .certificateExpired,
                            "its certificate counts \(certificate.validity.isOver ? "no more" : "not yet")", remedy: "")
                    }
                    return nil
                })
        } catch {
            throw Problem(.tlsFailed, "the connection cannot be taken over: \(error)", remedy: "Report this")
        }
        do {
            try link.shakeHands(until: SystemClock.monotonic.now + Self.patience, hearsAnswer: false)
            // From here on it waits for nothing any more.
            let nothing = try Files.open("/dev/null", .readWrite)
            try Files.duplicate(nothing.raw, as: doorbell, closeOnExec: false)
        } catch {
            throw refused(peer, link.refusal?.summary ?? "\(error)", code: link.refusal?.code ?? .tlsFailed)
        }
        return link
    }

    private func refused(_ peer: String, _ why: String, code: Problem.Code = .notPaired) -> Problem {
        Problem(
            code, "\(peer) was refused: \(why)",
            remedy: "Where it should not be, pair it: `apus receive --init` here, `apus migrate --pair` there")
    }

    /// Takes a tree, or whatever else the other host wants of `apus receive --stdio`.
    private func receive(_ link: Link) throws(Problem) -> Int32 {
        do {
            try link.send(ByteBuffer(bytes: greeting))
            let pid = try relay(link)
            guard let ended = try Processes.wait(for: pid, .all) else { return 1 }
            if case .exited(let code) = ended.status { return code }
            return 1
        } catch {
            throw Problem(
                .connectionGone, "the tree cannot be received: \(error)",
                remedy: "See that there is memory, and that processes can be made")
        }
    }

    /// Joins the link with a receiver. When it returns the receiver's ends are closed, by which it learns that the other host has gone.
    private func relay(_ link: Link) throws(Errno) -> Int32 {
        let program = try Subprocess.spawnPiped(receiver)
        let pid = program.pid
        let input = program.output
        let output = program.input
        do { try Relay(link, input: input.raw, output: output.raw).run() } catch {
            logger.info("the connection is gone: \(error)")
        }
        return pid
    }

    /// Hears which certificate the host will show from now on that has shown a token.
    private func pair(_ link: Link, _ ticket: Fingerprint, _ peer: String) throws(Problem) -> Int32 {
        let limit = SystemClock.monotonic.now + Self.patience
        do {
            let der = try link.receiveSized(atMost: 4096, until: limit)
            let name = HostKeys.name(try link.receiveSized(atMost: 64, until: limit))
            let certificate = try PeerCertificate(try NIOSSLCertificate(bytes: der, format: .der))
            guard !certificate.validity.isOver, keys.useTicket(ticket) else {
                throw refused(peer, "its token is good no more")
            }
            try keys.addSender(certificate.fingerprint, name: name)
            logger.notice("\(name) (\(peer)) is paired: \(certificate.fingerprint)")
            try link.send(sized: Array(HostKeys.node.utf8))
            link.close(until: limit)
            return 0
        } catch let problem as Problem {
            throw problem
        } catch {
            throw refused(peer, "\(error)", code: .tlsFailed)
        }
    }
}
