internal import Crypto
internal import Diagnostics
public import SystemPackage

/// The SHA-256 of some content (FIPS 180-4): what tells two files apart whatever their names, sizes and times.
public struct ContentDigest: Sendable, Hashable, CustomStringConvertible {
    /// Sixty-four digits, lower case, as sha256sum(1) prints them.
    public let description: String

    /// - Returns: nil where the text is no digest. What becomes a file name by it can therefore be nothing else.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard bytes.count == 64,
            bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        description = text
    }

    fileprivate init(_ digest: SHA256.Digest) { description = Hexadecimal.text(digest) }

    /// Of bytes in memory.
    public init(of bytes: [UInt8]) { self.init(SHA256.hash(data: bytes)) }
}

/// A digest that is being made, piece by piece.
public struct ContentHasher: Sendable {
    private var hash = SHA256()

    public init() {}

    /// Adds bytes.
    @unsafe public mutating func update(_ bytes: UnsafeRawBufferPointer) { unsafe hash.update(bufferPointer: bytes) }

    /// Adds bytes.
    public mutating func update(_ bytes: some Sequence<UInt8>) { hash.update(data: Array(bytes)) }

    /// The digest of all that was added.
    public func finish() -> ContentDigest { ContentDigest(hash.finalize()) }
}

extension ContentDigest {
    /// Reads an open file from its start, from the page cache where it is there.
    ///
    /// - Parameters:
    ///   - limit: no more than so many bytes of it.
    ///   - output: a file that gets a copy, at its position; -1 for none.
    ///   - goesOn: asked now and then whether to go on.
    /// - Returns: the digest and how many bytes it is of; nil where it did not go on.
    /// - Throws: the error of pread(2) or of write(2).
    public static func read(
        _ descriptor: Int32, limit: UInt64 = .max, copyingTo output: Int32 = -1,
        while goesOn: () -> Bool = { true }
    ) throws(Errno) -> (digest: ContentDigest, size: UInt64)? {
        var hasher = ContentHasher()
        // SAFETY: the bytes are used within the closure alone.
        let size = try unsafe Posix.read(descriptor, limit: limit, while: goesOn) { (bytes) throws(Errno) in
            unsafe hasher.update(bytes)
            if output >= 0 { try Posix.write(output, unsafe Array(bytes)) }
        }
        return size.map { (hasher.finish(), $0) }
    }
}
