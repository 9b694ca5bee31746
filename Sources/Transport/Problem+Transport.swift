public import Diagnostics

extension Problem.Code {
    /// Two hosts do not know each other, or not any more.
    public static let notPaired: Self = "not-paired"
    /// A certificate counts no more, or not yet.
    static let certificateExpired: Self = "certificate-expired"
    /// It is not a token that pairs hosts.
    static let badToken: Self = "bad-token"
    /// The key of this host cannot be used.
    static let keyUnusable: Self = "key-unusable"
    /// The other side does not speak TLS as it should.
    static let tlsFailed: Self = "tls-failed"
    /// The other host cannot be reached.
    static let unreachable: Self = "host-unreachable"
    /// No connections can be taken there.
    static let cannotListen: Self = "cannot-listen"
    /// A peer has gone.
    static let connectionGone: Self = "connection-lost"
    /// What is to outlive a run cannot be written.
    static let secretsUnwritable: Self = "state-unwritable"
}
