public import Diagnostics

/// The keys of `--external`: `TYPE[ID]`, perhaps with `:VALUE` behind (criu(8)).
public enum ExternalResource {
    /// The kinds that this version can leave outside.
    static let built = ["file", "tty", "pipe", "pipe:", "unix"]
    /// The kinds that CRIU knows beside them.
    static let known = ["mnt", "dev", "veth", "macvlan", "net", "pid"]

    /// What is wrong with the keys.
    public static func problems(_ keys: [[UInt8]]) -> [Problem] {
        keys.compactMap { bytes in
            let key = RawArgument.text(bytes)
            let kind = String(key.prefix { $0 != "[" })
            let hasID = bytes.contains(UInt8(ascii: "[")) && bytes.contains(UInt8(ascii: "]"))
            if hasID && built.contains(kind) { return nil }
            if hasID && known.contains(kind) {
                return Problem(
                    .optionNotBuilt, "option --external \(key.printable) is not built yet",
                    remedy: "Only file[MOUNT:INODE], tty[RDEV:DEV], pipe:[INODE] and unix[INODE] can be left outside")
            }
            return .invalid(
                "--external", key, expected: "file[MOUNT:INODE], tty[RDEV:DEV], pipe:[INODE] or unix[INODE]")
        }
    }
}

/// A value of `--inherit-fd`: `fd[N]:KEY`, where KEY names the resource that the descriptor N stands in for.
public struct InheritedDescriptor: Sendable, Equatable {
    public var descriptor: Int32
    public var key: String

    /// Reads a value.
    public static func parse(_ bytes: [UInt8]) -> Result<InheritedDescriptor, Problem> {
        let text = RawArgument.text(bytes)
        let wrong = Problem.invalid("--inherit-fd", text, expected: "fd[N]:KEY with the number of a descriptor")
        guard text.hasPrefix("fd["), let end = text.firstIndex(of: "]") else { return .failure(wrong) }
        let number = text[text.index(text.startIndex, offsetBy: 3)..<end]
        let rest = text[text.index(after: end)...]
        guard let descriptor = Int32(number), descriptor >= 0, rest.first == ":", rest.count > 1 else {
            return .failure(wrong)
        }
        let key = String(rest.dropFirst())
        for kind in ["mnt[", "net["] where key.hasPrefix(kind) {
            return .failure(
                Problem(
                    .optionNotBuilt, "option --inherit-fd with \(key.printable) is not built yet",
                    remedy: "Files, pipes, Unix sockets and terminals can be inherited"))
        }
        return .success(InheritedDescriptor(descriptor: descriptor, key: key))
    }
}

extension Problem {
    /// A value that its option cannot take.
    public static func invalid(_ option: String, _ value: String, expected: String) -> Problem {
        Problem(.invalidValue, "\(value.printable) is not a value of \(option)", remedy: "Give \(expected)")
    }
}
