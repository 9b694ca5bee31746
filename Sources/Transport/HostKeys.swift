internal import Crypto
public import Diagnostics
internal import Glibc
internal import Linux
internal import SwiftASN1
public import SystemPackage

/// What this host shows to others, and what it knows of them: `STATE/tls`.
///
/// `identity.pem` holds the key and the certificate of this host. `senders/NAME.FINGERPRINT` is there for each host whose trees
/// may come here, and `receivers/HOST` holds the fingerprint of each host that trees go to: removing one of these files
/// ends the pairing. `tickets/FINGERPRINT` is there for each token that has been printed and not used, with the time until
/// which it is good.
public struct HostKeys: Sendable {
    private let folder: SecretFolder
    private var senders: SecretFolder { SecretFolder(path: folder.file("senders")) }
    private var receivers: SecretFolder { SecretFolder(path: folder.file("receivers")) }
    private var tickets: SecretFolder { SecretFolder(path: folder.file("tickets")) }

    private static let identity = "identity.pem"
    /// For how long a certificate of a host counts, in seconds: ten years.
    static let lifetime: Int64 = 10 * 365 * 86400
    /// For how long a token is good, in seconds.
    public static let tokenLifetime: Int64 = 3600

    /// - Parameter state: where Apus keeps what outlives a run, `/var/lib/apus` usually.
    public init(in state: FilePath) { folder = SecretFolder(path: state.appending("tls")) }

    // MARK: This host

    /// What this host shows; nil where it has nothing yet.
    ///
    /// - Throws: `key-unusable`.
    func credentials() throws(Problem) -> Credentials? {
        let path = folder.file(Self.identity)
        guard let status = try? Files.status(of: path) else { return nil }
        guard status.mode & 0o077 == 0, status.uid == geteuid() else {
            throw Problem(
                .keyUnusable, "the key of this host can be read by others", object: .init(path: path.string),
                remedy:
                    "If nobody has: chown to the user that runs Apus, chmod 600. If somebody may have, remove it, and pair anew"
            )
        }
        guard let text = folder.text(Self.identity), let parts = try? PEMDocument.parseMultiple(pemString: text),
            let keyPart = parts.first(where: { $0.discriminator == "PRIVATE KEY" }),
            let certificate = parts.first(where: { $0.discriminator == "CERTIFICATE" }),
            let key = try? P256.Signing.PrivateKey(derRepresentation: keyPart.derBytes),
            let credentials = try? Credentials(key: key, der: certificate.derBytes)
        else {
            throw Problem(
                .keyUnusable, "the key of this host is damaged", object: .init(path: path.string),
                remedy: "Remove it, and pair anew")
        }
        return credentials
    }

    /// What this host shows, made where there is none, or its time is over.
    ///
    /// - Throws: `key-unusable`, `state-unwritable`.
    func credentialsMadeIfNeeded() throws(Problem) -> Credentials {
        if let there = try credentials(), !there.validity.isOver { return there }
        let now = Validity.now
        do {
            // A clock of another host may be behind this one.
            try write(Credentials(name: Self.node, validity: now - 86400...now + Self.lifetime))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.keyUnusable, "no key can be made: \(error)", remedy: "Report this")
        }
        guard let made = try credentials() else {
            throw Problem(.keyUnusable, "the key that was made has gone", remedy: "Try again")
        }
        return made
    }

    /// Makes it what this host shows.
    ///
    /// - Throws: `state-unwritable`.
    func write(_ credentials: Credentials) throws {
        let key = PEMDocument(type: "PRIVATE KEY", derBytes: Array(credentials.key.derRepresentation))
        let certificate = PEMDocument(type: "CERTIFICATE", derBytes: credentials.der)
        try folder.write(Self.identity, key.pemString + "\n" + certificate.pemString + "\n")
    }

    /// How this host is called.
    static var node: String { Self.name((try? HostFacts().node) ?? []) }

    /// A name that may come from anywhere, as part of the name of a file.
    static func name(_ bytes: [UInt8]) -> String {
        let good = bytes.prefix(64).map { byte -> Character in
            let letter = Character(Unicode.Scalar(byte))
            return letter.isASCII && (letter.isLetter || letter.isNumber || letter == "-") ? letter : "_"
        }
        return good.isEmpty ? "host" : String(good)
    }

    // MARK: Tokens

    /// Makes a token, which pairs one other host with this one.
    ///
    /// - Returns: the token, and the time until which it is good, in seconds of real time.
    /// - Throws: `key-unusable`, `state-unwritable`.
    public func issueToken() throws(Problem) -> (token: PairingToken, until: Int64) {
        let token = PairingToken(for: try credentialsMadeIfNeeded().fingerprint)
        let until = Validity.now + Self.tokenLifetime
        for name in tickets.names where !isGood(name) { _ = tickets.remove(name) }
        guard let key = try? token.key else {
            throw Problem(.keyUnusable, "no key can be made", remedy: "Report this")
        }
        try tickets.write(Fingerprint(of: Array(key.publicKey.derRepresentation)).hex, "\(until)\n")
        return (token, until)
    }

    private func isGood(_ ticket: String) -> Bool {
        guard let text = tickets.text(ticket), let until = Int64(text.dropLast()) else { return false }
        return Validity.now <= until
    }

    /// Whether a key is that of a token that is good.
    func hasTicket(_ key: Fingerprint) -> Bool { isGood(key.hex) }

    /// Uses a token up.
    ///
    /// - Returns: whether it was good until now.
    func useTicket(_ key: Fingerprint) -> Bool { isGood(key.hex) && tickets.remove(key.hex) }

    // MARK: Others

    /// How a host is called whose trees may come here; nil where it is not one of these.
    func sender(_ certificate: Fingerprint) -> String? {
        senders.names.first { $0.hasSuffix("." + certificate.hex) }.map {
            String($0.dropLast(2 * Fingerprint.size + 1))
        }
    }

    /// Whether any host may send trees here, or could come to.
    var expectsSomebody: Bool { !senders.names.isEmpty || tickets.names.contains(where: isGood) }

    /// - Throws: `state-unwritable`.
    func addSender(_ certificate: Fingerprint, name: String) throws(Problem) {
        if sender(certificate) != nil { return }
        try senders.write("\(name).\(certificate.hex)", "")
    }

    /// By what the host is recognised that trees go to under a name; nil where there is none.
    func receiver(_ host: String) -> Fingerprint? {
        guard let name = Self.fileName(host), let text = receivers.text(name) else { return nil }
        return Fingerprint(hex: text.dropLast())
    }

    /// - Throws: `state-unwritable`.
    func addReceiver(_ certificate: Fingerprint, host: String) throws(Problem) {
        guard let name = Self.fileName(host) else {
            throw Problem(
                .unreachable, "\(host.printable) is not the name of a host", remedy: "Give a name or an address")
        }
        try receivers.write(name, certificate.hex + "\n")
    }

    /// The names under which trees go to others.
    var receiverNames: [String] { receivers.names.sorted() }

    private static func fileName(_ host: String) -> String? {
        let name = host.lowercased()
        let isGood = name.utf8.count <= 253 && !name.hasPrefix(".") && !name.utf8.contains(UInt8(ascii: "/"))
        return isGood && !name.isEmpty ? name : nil
    }
}
