internal import Crypto
internal import Diagnostics

/// The nonces of the pieces of a body: a counter of 11 bytes, and whether it is the last one.
private struct PieceNonce {
    private var counter: UInt64 = 0

    mutating func next(isLast: Bool) throws(Problem) -> ChaChaPoly.Nonce {
        var bytes = [UInt8](repeating: 0, count: 12)
        for index in 0..<8 { bytes[10 - index] = UInt8(truncatingIfNeeded: counter >> UInt64(8 * index)) }
        bytes[11] = isLast ? 1 : 0
        counter += 1
        do { return try ChaChaPoly.Nonce(data: bytes) } catch { throw .invalid("a nonce cannot be made") }
    }
}

private let bodyPiece = 64 << 10
private let tagSize = 16

/// Encrypts a body.
final class AgeSink: ByteSink {
    private let next: any ByteSink
    private let key: SymmetricKey
    private var nonce = PieceNonce()
    private var held: [UInt8] = []

    init(key: SymmetricKey, into next: any ByteSink) {
        (self.key, self.next) = (key, next)
    }

    func write(_ bytes: [UInt8]) throws(Problem) {
        held += bytes
        var done = 0
        // The last piece is known as such only when no more comes.
        while held.count - done > bodyPiece {
            try seal(held[done..<done + bodyPiece], isLast: false)
            done += bodyPiece
        }
        held.removeFirst(done)
    }

    func finish() throws(Problem) {
        try seal(held[...], isLast: true)
        held = []
        try next.finish()
    }

    private func seal(_ piece: ArraySlice<UInt8>, isLast: Bool) throws(Problem) {
        let nonce = try nonce.next(isLast: isLast)
        let sealed: [UInt8]
        do {
            let box = try ChaChaPoly.seal(piece, using: key, nonce: nonce)
            sealed = Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw Problem(.bundleKey, "the bundle cannot be encrypted (\(error))", remedy: "Please report it")
        }
        try next.write(sealed)
    }
}

/// Decrypts a file of age.
final class AgeSource: ByteSource {
    private let cursor: ByteCursor
    private let key: SymmetricKey
    private var nonce = PieceNonce()
    private var held: [UInt8] = []
    private var isFirst = true
    private var isOver = false

    init(_ cursor: ByteCursor, keys: [AgeKey]) throws(Problem) {
        self.cursor = cursor
        var header = AgeHeader(cursor)
        let fileKey = try header.read(keys)
        key = AgeFormat.payloadKey(fileKey, nonce: try cursor.exactly(16))
    }

    func next() throws(Problem) -> [UInt8] {
        if isOver { return [] }
        // One byte more than a piece tells whether this is the last.
        let whole = bodyPiece + tagSize
        while held.count <= whole {
            let more = try cursor.some(atMost: whole + 1 - held.count)
            if more.isEmpty { break }
            held += more
        }
        isOver = held.count <= whole
        let piece = held.prefix(whole)
        // Only a whole body that is empty has an empty piece.
        guard piece.count > tagSize || isFirst && piece.count == tagSize else { throw .truncated() }
        isFirst = false
        let nonce = try nonce.next(isLast: isOver)
        guard
            let box = try? ChaChaPoly.SealedBox(
                nonce: nonce, ciphertext: piece.dropLast(tagSize), tag: piece.suffix(tagSize)),
            let opened = try? ChaChaPoly.open(box, using: key)
        else { throw .invalid("the encrypted content of the bundle is damaged, or ends before its end") }
        held.removeFirst(piece.count)
        return Array(opened)
    }
}

/// Reads the header of a file of age.
struct AgeHeader {
    private let cursor: ByteCursor
    private var text: [UInt8] = []

    init(_ cursor: ByteCursor) { self.cursor = cursor }

    /// The key of the file.
    mutating func read(_ keys: [AgeKey]) throws(Problem) -> [UInt8] {
        guard try line() == AgeFormat.magic else { throw bad }
        var stanzas: [AgeFormat.Stanza] = []
        var next = try line()
        while next.hasPrefix("-> ") {
            var body = ""
            var part = try line()
            while part.utf8.count == 64 {
                body += part
                part = try line()
            }
            guard part.utf8.count < 64, let bytes = AgeBase64.decode((body + part).utf8) else { throw bad }
            let arguments = next.dropFirst(3).split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            stanzas.append(.init(arguments: arguments, body: bytes))
            next = try line()
        }
        guard next.hasPrefix("--- "), let mac = AgeBase64.decode(next.dropFirst(4).utf8) else { throw bad }
        let header = String(decoding: text, as: UTF8.self).dropLast(next.utf8.count + 1) + "---"
        let fileKey = try Self.open(stanzas, keys)
        let key = HMAC<SHA256>.isValidAuthenticationCode(
            mac, authenticating: Array(header.utf8),
            using: HKDF<SHA256>.deriveKey(
                inputKeyMaterial: .init(data: fileKey), info: Array("header".utf8), outputByteCount: 32))
        guard key else { throw .invalid("the header of the encrypted bundle has been changed") }
        return fileKey
    }

    private static func open(_ stanzas: [AgeFormat.Stanza], _ keys: [AgeKey]) throws(Problem) -> [UInt8] {
        let byPhrase = stanzas.contains { $0.arguments.first == ScryptStanza.name }
        if byPhrase && stanzas.count != 1 { throw .invalid("the bundle is encrypted in a way that age does not allow") }
        for stanza in stanzas {
            for key in keys {
                let found: [UInt8]?
                switch key {
                case .identity(let identity): found = X25519Stanza.unwrap(stanza, by: identity)
                case .passphrase(let phrase): found = byPhrase ? try ScryptStanza.unwrap(stanza, by: phrase) : nil
                }
                if let found { return found }
            }
        }
        throw Problem(
            .bundleLocked,
            keys.isEmpty ? "the bundle is encrypted" : "the bundle is encrypted, and none of the keys given opens it",
            remedy: byPhrase ? "Give its passphrase with --passphrase-file" : "Give the key with --identity")
    }

    private mutating func line() throws(Problem) -> String {
        var line: [UInt8] = []
        while true {
            let byte = try cursor.exactly(1)[0]
            text.append(byte)
            if text.count > AgeFormat.longestHeader { throw bad }
            if byte == 0x0a { return String(decoding: line, as: UTF8.self) }
            guard (0x20...0x7e).contains(byte) else { throw bad }
            line.append(byte)
        }
    }

    private var bad: Problem { .invalid("the header of the encrypted bundle is damaged") }
}
