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

    /// As xxh128sum(1) has them: what is short, longer than 240 bytes, and longer than a stripe of blocks are made in ways of their own.
    @Test(
        "Those of images are XXH3 with 128 bits",
        arguments: [
            ([], "99aa06d3014798d86001c324468d497f"),
            (Array("abc".utf8), "06b05ab6733a618578af5f94892f3950"),
            ((0..<40).flatMap { _ in Array(0...255) }, "1cb22534d0d96975c03d2231ab9348f3"),
        ] as [([UInt8], String)])
    func images(_ bytes: [UInt8], _ digest: String) {
        #expect(ImageDigest(of: bytes).description == digest)
        #expect(ImageDigest(digest) == ImageDigest(of: bytes))
        var hasher = ImageHasher()
        for start in stride(from: 0, to: bytes.count, by: 999) {
            hasher.update(Array(bytes[start..<min(start + 999, bytes.count)]))
        }
        #expect(hasher.finish().description == digest)
        for bad in [
            "", digest + "0", digest.uppercased(), String(repeating: "0a", count: 32), "g" + digest.dropFirst(),
        ] {
            #expect(ImageDigest(bad) == nil, "\(bad)")
        }
    }

    @Test("Digits and bytes", arguments: [[], [0], [0xff, 0x10, 0x0a]] as [[UInt8]])
    func digits(_ bytes: [UInt8]) {
        #expect(Hexadecimal.bytes(Hexadecimal.text(bytes)) == bytes)
        #expect(Hexadecimal.bytes("0") == nil && Hexadecimal.bytes("0g") == nil)
    }
}
