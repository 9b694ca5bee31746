internal import Diagnostics

/// What travels between the two hosts: see docs/protocol.md.
struct Frame {
    /// What a frame says. The numbers are those on the wire, and stay.
    enum Kind: UInt8, Sendable {
        /// To the destination: who is coming, and what protocol is spoken. JSON.
        case hello = 1
        /// To the source: who is there. JSON.
        case welcome = 2
        /// To the destination: a piece of an image file.
        case file = 3
        /// To the destination: all images of the rehearsal have been sent; can it be restored? JSON.
        case rehearsed = 4
        /// To the source: everything that stands in the way. JSON.
        case verdict = 5
        /// To the destination: pages.
        case pages = 6
        /// To the destination: everything of a round has been sent. Empty.
        case round = 7
        /// To the source: it has been received. Empty.
        case received = 8
        /// To the destination: what a pages file of the images would hold.
        case layout = 9
        /// To the destination: the images are complete: build the tree. JSON.
        case last = 10
        /// To the source: the tree is built and waits. Empty.
        case ready = 11
        /// To the destination: let it run. Empty. From here on the source's copy never runs by itself.
        case release = 12
        /// To the source: it runs. JSON.
        case released = 13
        /// To the source: it cannot be, and nothing is left. JSON.
        case failed = 14
        /// To the destination: it is not to be; nothing shall be left. JSON.
        case abort = 15
        /// Either way: still at work. Empty.
        case alive = 16
        /// To the destination: what has become of a tree? JSON.
        case question = 17
        /// To the source: that. JSON.
        case fate = 18
        /// To the destination: pages that follow when the tree runs.
        case late = 20
        /// To the source: somebody waits for a page.
        case wanted = 21
        /// To the source: all pages are there. JSON.
        case complete = 22
        /// To the destination: the pages that have yet to come follow over this connection. JSON.
        case resume = 23
        /// To the source: which they are.
        case outstanding = 24
        /// To the source: now you know all of them. Empty.
        case resumed = 25
        /// To the destination: the tree whose pages have not all come is not to go on there. JSON, or empty where it is served.
        case goBack = 26
        /// To the destination: pages, some of which are zeros and have no bytes.
        case sparse = 30
        /// To the destination: another frame, compressed.
        case packed = 31
        /// To the destination: other connections are about to come. JSON.
        case channels = 32
        /// To the destination: the first frame of another connection of a migration. JSON.
        case join = 33
        /// To the destination: no more pages come over this connection. Empty.
        case finished = 34
        /// To the destination: pages that it has, or will not have, are out of date.
        case outdated = 35
    }

    let kind: Kind
    let body: [UInt8]

    /// The version of the protocol. Another one is refused.
    static let version = 2
    /// In bytes: "AP", the kind, a zero, and the length of the body, least significant byte first.
    static let headerSize = 8
    /// No body is longer, in bytes: a longer one is not read.
    static let longestBody = 8 << 20

    /// The header of a frame.
    static func header(_ kind: Kind, bodySize: Int) -> [UInt8] {
        precondition(bodySize <= longestBody, "frames are made of pieces")
        var bytes: [UInt8] = [0x41, 0x50, kind.rawValue, 0]
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: bodySize >> shift)) }
        return bytes
    }

    /// Understands a header.
    ///
    /// - Throws: `protocol` for bytes that are none.
    static func parse(_ header: [UInt8]) throws(Problem) -> (kind: Kind, size: Int) {
        guard header.count == headerSize, header[0] == 0x41, header[1] == 0x50, header[3] == 0,
            let kind = Kind(rawValue: header[2])
        else {
            let text = String(decoding: header.prefix { $0 >= 32 && $0 < 127 }, as: UTF8.self)
            throw Problem(
                .badProtocol,
                text.isEmpty
                    ? "the other host says something that is not understood" : "the other host says \"\(text)...\"",
                remedy:
                    "See that the shell of the user on the other host prints nothing when it starts (`ssh HOST true`), and"
                    + " that `apus receive` there is of this version")
        }
        let size = header[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard size <= longestBody else {
            throw Problem(
                .badProtocol, "the other host announces \(size) bytes, and no message is so long",
                remedy: "See that `apus receive` there is of this version")
        }
        return (kind, size)
    }
}

extension Problem.Code {
    /// The other host says what nobody understands.
    static let badProtocol: Self = "protocol"
    /// The connection to the other host is gone.
    static let connectionLost: Self = "connection-lost"
    /// The other host does not answer.
    static let noAnswer: Self = "no-answer"
}
