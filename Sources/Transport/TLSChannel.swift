internal import Crypto
internal import Diagnostics
internal import NIOCore
internal import NIOEmbedded
internal import NIOSSL
internal import NIOTLS

/// What one side of a connection makes of the certificate that the other side shows.
struct PeerCertificate: Sendable {
    /// By which the certificate is recognised.
    let fingerprint: Fingerprint
    /// By which its key is recognised.
    let key: Fingerprint
    let validity: Validity

    /// - Throws: an error of NIOSSL's where it cannot be read.
    init(_ certificate: NIOSSLCertificate) throws {
        fingerprint = Fingerprint(of: try certificate.toDERBytes())
        key = Fingerprint(of: try certificate.extractPublicKey().toSPKIBytes())
        validity = Validity(certificate)
    }
}

/// TLS 1.3 between bytes and bytes: it opens nothing and waits for nothing.
///
/// Both sides show a certificate, and each is asked by the `judge` of the other about it before the handshake is over. Nothing is
/// resumed: each connection is judged anew.
final class TLSChannel {
    enum Side { case client, server }

    /// The other side has shown that it has the key of a certificate that is good, on this side's terms. The client knows by
    /// that nothing of how the server judges.
    var isEstablished: Bool { observer.isEstablished }
    /// The certificate of the other side, once it has been judged.
    private(set) var peer: PeerCertificate?
    /// Why the certificate of the other side was refused.
    private(set) var refusal: Problem?
    /// Nothing more comes: the other side has said so, or something was not in order.
    private(set) var isOver = false

    private let channel = EmbeddedChannel()
    private let observer = Observer()

    /// Hears of the end of the handshake.
    private final class Observer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var isEstablished = false

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case TLSUserEvent.handshakeCompleted = event { isEstablished = true }
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// - Parameters:
    ///   - credentials: what this side shows.
    ///   - judge: what there is against the certificate of the other side; nil where nothing is.
    /// - Throws: an error of NIOSSL's.
    init(_ side: Side, _ credentials: Credentials, judge: @escaping (PeerCertificate) -> Problem?) throws {
        var configuration = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: credentials.der, format: .der))],
            privateKey: .privateKey(
                try NIOSSLPrivateKey(bytes: Array(credentials.key.derRepresentation), format: .der)),
            // The judge alone decides.
            trustRoots: .certificates([]))
        configuration.minimumTLSVersion = .tlsv13
        configuration.maximumTLSVersion = .tlsv13
        let context = try NIOSSLContext(configuration: configuration)
        let verify: NIOSSLCustomVerificationCallback = { [unowned self] chain, promise in
            promise.succeed(self.accepts(chain, judge) ? .certificateVerified : .failed)
        }
        let handler: NIOSSLHandler =
            switch side {
            case .client:
                try NIOSSLClientHandler(context: context, serverHostname: nil, customVerificationCallback: verify)
            case .server: NIOSSLServerHandler(context: context, customVerificationCallback: verify)
            }
        try channel.pipeline.syncOperations.addHandlers([handler, observer])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "-")).wait()
    }

    deinit {
        channel.close(promise: nil)
        // The handler would wait for the other side to say that it closes, too. Its clock is this one.
        channel.embeddedEventLoop.advanceTime(by: .seconds(60))
        channel.embeddedEventLoop.run()
    }

    private func accepts(_ chain: [NIOSSLCertificate], _ judge: (PeerCertificate) -> Problem?) -> Bool {
        guard let first = chain.first, let certificate = try? PeerCertificate(first) else { return false }
        refusal = judge(certificate)
        peer = certificate
        return refusal == nil
    }

    /// Takes what has come over the network.
    ///
    /// - Throws: what is not in order. There may still be something to send: it says so to the other side.
    func receive(_ bytes: ByteBuffer) throws {
        guard !isOver else { return }
        do {
            try channel.writeInbound(bytes)
            channel.embeddedEventLoop.run()
            try channel.throwIfErrorCaught()
        } catch {
            isOver = true
            throw error
        }
        if !channel.isActive { isOver = true }
    }

    /// Takes what the other side is to hear. Before the end of the handshake it waits.
    func send(_ bytes: ByteBuffer) throws {
        // `writeOutbound` would wait for the handshake.
        channel.writeAndFlush(bytes, promise: nil)
        try channel.throwIfErrorCaught()
    }

    /// What is to go over the network next.
    func nextOutgoing() -> ByteBuffer? { (try? channel.readOutbound(as: ByteBuffer.self)) ?? nil }

    /// What the other side has said next.
    func nextIncoming() -> ByteBuffer? { (try? channel.readInbound(as: ByteBuffer.self)) ?? nil }

    /// Says to the other side that nothing more comes.
    func close() {
        channel.close(promise: nil)
        channel.embeddedEventLoop.run()
    }
}
