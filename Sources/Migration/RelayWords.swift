public import Diagnostics
internal import Images

/// What a program that stands between the hosts says by itself: docs/protocol.md, "Who may connect".
public enum RelayWords {
    /// To the source, before anything else: it may speak.
    public static let greeting = Frame.header(.alive, bodySize: 0)

    /// To the source's own Apus, before anything else: the other host was not reached.
    public static func failure(_ problem: Problem) -> [UInt8] {
        let words: JSON = ["problems": .problems([problem]), "here": true]
        let body = Array(words.text(indented: false).utf8)
        return Frame.header(.failed, bodySize: body.count) + body
    }
}
