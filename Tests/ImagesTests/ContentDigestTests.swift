import Diagnostics
import Images
import SystemPackage
import Testing

@Suite("Digests")
struct ContentDigestTests {
    /// The examples of FIPS 180-4.
    @Test(
        "They are SHA-256",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ])
    func known(_ text: String, _ digest: String) {
        #expect(ContentDigest(of: Array(text.utf8)).description == digest)
        var hasher = ContentHasher()
        for byte in text.utf8 { hasher.update([byte]) }
        #expect(hasher.finish().description == digest)
    }

    @Test("What is no digest never becomes a file name")
    func refusals() {
        let good = String(repeating: "0a", count: 32)
        #expect(ContentDigest(good) != nil)
        for bad in [
            "", "../../etc/passwd", good.uppercased(), good + "0", String(good.dropLast()), "/" + good.dropLast(),
        ] {
            #expect(ContentDigest(bad) == nil, "\(bad)")
        }
    }

    @Test("Digits and bytes", arguments: [[], [0], [0xff, 0x10, 0x0a]] as [[UInt8]])
    func digits(_ bytes: [UInt8]) {
        #expect(Hexadecimal.bytes(Hexadecimal.text(bytes)) == bytes)
        #expect(Hexadecimal.bytes("0") == nil && Hexadecimal.bytes("0g") == nil)
    }
}
