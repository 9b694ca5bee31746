import Crypto
import Diagnostics
import Glibc
import Linux
import SystemPackage
import Testing

@testable import Transport

@Suite("What hosts know of each other") struct HostKeysTests {
    private func withState(_ body: (FilePath) throws -> Void) throws {
        var template = Array("/tmp/apus-keys.XXXXXX\0".utf8CString)
        try #require(unsafe mkdtemp(&template) != nil)
        let path = FilePath(String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        defer { Self.remove(path) }
        try body(path.appending("state"))
    }

    private static func remove(_ path: FilePath) {
        for entry in (try? Files.entries(of: path)) ?? [] {
            let child = path.appending(FilePath(String(decoding: entry.name, as: UTF8.self)).components)
            if (try? Files.remove(child)) == nil { remove(child) }
        }
        try? Files.remove(path, isDirectory: true)
    }

    @Test func aKeyIsMadeOnceAndIsForItsOwnerAlone() throws {
        try withState { state in
            let keys = HostKeys(in: state)
            #expect(try keys.credentials() == nil)
            let made = try keys.credentialsMadeIfNeeded()
            #expect(try keys.credentialsMadeIfNeeded().fingerprint == made.fingerprint)
            let path = state.appending("tls").appending("identity.pem")
            #expect(try Files.status(of: path).permissions == 0o600)
            #expect(try Files.status(of: state.appending("tls")).permissions == 0o700)
            #expect(unsafe chmod(path.string, 0o640) == 0)
            #expect(throws: Problem.self) { _ = try keys.credentials() }
            #expect(unsafe chmod(path.string, 0o600) == 0)
            let file = try Files.open(path, [.writeOnly, .truncate])
            try Files.write(file.raw, Array("nonsense".utf8))
            #expect(throws: Problem.self) { _ = try keys.credentials() }
        }
    }

    @Test func aCertificateThatIsOverIsReplaced() throws {
        try withState { state in
            let keys = HostKeys(in: state)
            let old = try Credentials(name: "old", validity: Validity.now - 200...Validity.now - 100)
            try keys.write(old)
            #expect(try keys.credentials()?.fingerprint == old.fingerprint)
            #expect(try keys.credentialsMadeIfNeeded().fingerprint != old.fingerprint)
        }
    }

    @Test func aTokenIsGoodOnce() throws {
        try withState { state in
            let keys = HostKeys(in: state)
            #expect(!keys.expectsSomebody)
            let token = try keys.issueToken().token
            let key = Fingerprint(of: Array(try token.key.publicKey.derRepresentation))
            #expect(keys.hasTicket(key) && keys.expectsSomebody)
            #expect(keys.useTicket(key))
            #expect(!keys.hasTicket(key) && !keys.useTicket(key))
            // The secret is nowhere on disk.
            let other = try keys.issueToken().token
            let names = try Files.entries(of: state.appending("tls").appending("tickets"))
            #expect(
                names.count == 1 && !names.contains { String(decoding: $0.name, as: UTF8.self).contains(other.text) })
            // Its time is over.
            let name = String(decoding: try #require(names.first).name, as: UTF8.self)
            let file = try Files.open(
                state.appending("tls").appending("tickets").appending(FilePath(name).components),
                [.writeOnly, .truncate])
            try Files.write(file.raw, Array("\(Validity.now - 1)\n".utf8))
            #expect(!keys.hasTicket(try #require(Fingerprint(hex: name))))
        }
    }

    @Test func pairsAreFiles() throws {
        try withState { state in
            let keys = HostKeys(in: state)
            let (one, other) = (Fingerprint(of: [1]), Fingerprint(of: [2]))
            try keys.addSender(one, name: HostKeys.name(Array("../etc/x y".utf8)))
            #expect(keys.sender(one) == "___etc_x_y" && keys.sender(other) == nil)
            try keys.addReceiver(other, host: "Alpha.example")
            #expect(keys.receiver("alpha.EXAMPLE") == other && keys.receiver("beta") == nil)
            #expect(keys.receiverNames == ["alpha.example"])
            for name in ["..", "../identity.pem", "", ".x", "a/b"] {
                #expect(keys.receiver(name) == nil)
                #expect(throws: Problem.self) { try keys.addReceiver(other, host: name) }
            }
            #expect(Fingerprint(hex: one.hex) == one && Fingerprint(hex: "xy") == nil)
        }
    }

    @Test(arguments: [
        ("alpha", "alpha", 12787), ("alpha:1", "alpha", 1), ("192.0.2.1:70", "192.0.2.1", 70), ("[::1]:9", "::1", 9),
        ("::1", "::1", 12787), ("[fe80::1]", "fe80::1", 12787),
    ])
    func placesAreTakenApart(_ text: String, _ host: String, _ port: Int) throws {
        let split = try #require(InternetAddress.split(text))
        #expect(split.host == host && split.port == UInt16(port))
    }

    @Test func placesThatAreNone() {
        for text in ["", ":1", "alpha:", "alpha:x", "alpha:70000", "[::1", "[::1]x", "[]"] {
            #expect(InternetAddress.split(text) == nil, "\(text)")
        }
        #expect(InternetAddress("::1", port: 80)?.text == "[::1]:80")
        #expect(InternetAddress("127.0.0.1", port: 80).flatMap { InternetAddress(raw: $0.raw) }?.text == "127.0.0.1:80")
        #expect(InternetAddress("alpha", port: 80) == nil)
    }
}
