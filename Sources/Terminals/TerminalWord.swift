internal import Diagnostics
internal import Images
internal import SystemPackage

/// What the keeper of a terminal and whoever joins it say to each other, over a Unix socket within one host: a byte for
/// the kind, four for the length of what follows (least significant first), and that.
struct TerminalWord: Equatable {
    enum Kind: UInt8 {
        // To the keeper.
        /// What is kept? Empty.
        case look = 1
        /// Let me in. JSON: `rows`, `columns`, `who`, `take`.
        case join = 2
        /// Typed.
        case input = 3
        /// The window has another size. JSON: `rows`, `columns`.
        case size = 4

        // From the keeper.
        /// The answer to `look`, and to `join` where that is granted. JSON of ``KeptTerminal``.
        case status = 16
        case joined = 17
        /// Somebody else is there. JSON: `by`.
        case refused = 18
        /// Printed by the programs.
        case output = 19
        /// The terminal is no more. JSON: `status`, the word of wait4(2), where it is known.
        case ended = 20
        /// Somebody else has taken the terminal. JSON: `by`.
        case taken = 21
    }

    let kind: Kind
    let body: [UInt8]

    /// No body is longer, in bytes.
    static let longest = 64 << 10
    private static let headerSize = 5

    init(_ kind: Kind, _ body: [UInt8] = []) {
        precondition(body.count <= Self.longest, "words are short")
        (self.kind, self.body) = (kind, body)
    }

    init(_ kind: Kind, _ json: JSON) { self.init(kind, Array(json.text(indented: false).utf8)) }

    /// The body as JSON; an empty object where it is none.
    var json: JSON { JSON(parsing: body) ?? [:] }

    /// As it travels.
    var bytes: [UInt8] {
        let size = UInt32(body.count)
        return [kind.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + body
    }

    /// Takes the first whole word out of what has come.
    ///
    /// - Returns: nil where it is not complete yet.
    /// - Throws: EBADMSG for what is no word.
    static func take(from bytes: inout [UInt8]) throws(Errno) -> TerminalWord? {
        guard bytes.count >= headerSize else { return nil }
        let size = (1...4).reversed().reduce(0) { $0 << 8 | Int(bytes[$1]) }
        guard let kind = Kind(rawValue: bytes[0]), size <= longest else { throw .badMessage }
        guard bytes.count >= headerSize + size else { return nil }
        let body = Array(bytes[headerSize..<headerSize + size])
        bytes.removeFirst(headerSize + size)
        return TerminalWord(kind, body)
    }
}
