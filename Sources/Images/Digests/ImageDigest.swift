internal import CChecksum
internal import Diagnostics
internal import SystemPackage

/// The XXH3 digest, of 128 bits, of an image (xxHash, doc/xxhash_spec.md): by it is seen what has become of an image on a disk or on the
/// way.
///
/// It holds against chance and not against malice: who can change an image can change the manifest beside it as well. A digest that is
/// made to resist forgery, as SHA-256, takes eight times as long, more than to write the pages of a process. What keeps others from
/// changing a dump is a bundle that is encrypted.
public struct ImageDigest: Sendable, Hashable, CustomStringConvertible {
    private let high, low: UInt64

    fileprivate init(_ hash: XXH128_hash_t) { (high, low) = (hash.high64, hash.low64) }

    /// Of bytes in memory.
    public init(of bytes: [UInt8]) {
        // SAFETY: as many bytes are read as there are, and no pointer is kept.
        self.init(unsafe bytes.withUnsafeBytes { unsafe XXH3_128bits($0.baseAddress, $0.count) })
    }

    /// - Returns: nil where the text is none: thirty-two digits, lower case.
    public init?(_ text: String) {
        let digits = text.utf8
        guard digits.count == 32, let bytes = Hexadecimal.bytes(text), Hexadecimal.text(bytes) == text else {
            return nil
        }
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        (high, low) = (number(bytes[..<8]), number(bytes[8...]))
    }

    /// Thirty-two digits, as xxh128sum(1) prints them.
    public var description: String {
        Hexadecimal.text(
            [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } })
    }

    /// Reads an open file from its start, from the page cache where it is there.
    ///
    /// - Parameters:
    ///   - expected: how large it is, where that is known: it may be less or more.
    ///   - goesOn: asked now and then whether to go on.
    /// - Returns: nil where it did not go on.
    /// - Throws: the error of pread(2).
    static func read(
        _ descriptor: Int32, expecting expected: UInt64 = .max, while goesOn: () -> Bool = { true }
    ) throws(Errno) -> ImageDigest? {
        var hasher = ImageHasher()
        // SAFETY: the bytes are used within the closure alone.
        let size = try unsafe Posix.read(descriptor, expecting: expected, while: goesOn) { (bytes) throws(Errno) in
            unsafe hasher.update(bytes)
        }
        return size == nil ? nil : hasher.finish()
    }
}

/// A digest of an image that is being made, piece by piece.
@safe public struct ImageHasher: ~Copyable {
    /// Allocated here, freed here, and lent to nobody.
    private let state: OpaquePointer

    public init() {
        // There is always memory for some hundred bytes, as everywhere in Swift.
        guard let state = unsafe XXH3_createState() else { fatalError("out of memory") }
        unsafe self.state = state
        unsafe XXH3_128bits_reset(state)
    }

    deinit { unsafe XXH3_freeState(state) }

    /// Adds bytes.
    @unsafe public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// Adds bytes.
    public mutating func update(_ bytes: [UInt8]) {
        // SAFETY: the bytes are borrowed for the call.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The digest of all that was added.
    public borrowing func finish() -> ImageDigest { ImageDigest(unsafe XXH3_128bits_digest(state)) }
}
