public import Diagnostics
internal import Linux

/// The keys of `--external`: `TYPE[ID]`, perhaps with `:VALUE` behind (criu(8)).
public enum ExternalResource {
    /// The kinds that this version can leave outside.
    static let built = ["file", "tty", "pipe", "unix", "dev"]
    /// The kinds that CRIU knows beside them, and why they are not built.
    static let known = [
        "mnt": "mount namespaces are not carried yet",
        "net": "network namespaces are not carried yet", "veth": "network namespaces are not carried yet",
        "macvlan": "network namespaces are not carried yet", "pid": "pid namespaces are not carried yet",
    ]
    private static let forms = "file[MOUNT:INODE], tty[RDEV:DEV], pipe:[INODE], unix[INODE] or dev[MAJOR/MINOR]:VALUE"

    /// What is wrong with the keys.
    public static func problems(_ keys: [[UInt8]]) -> [Problem] {
        keys.compactMap { bytes in
            let key = RawArgument.text(bytes)
            guard let parts = Parts(key) else { return .invalid("--external", key, expected: forms) }
            if built.contains(parts.kind) {
                return parts.isWellFormed
                    ? nil : .invalid("--external", key, expected: form(of: parts.kind))
            }
            guard let why = known[parts.kind] else { return .invalid("--external", key, expected: forms) }
            return Problem(
                .optionNotBuilt, "option --external \(key.printable) is not built yet: \(why)",
                remedy: "Only \(forms) can be left outside")
        }
    }

    private static func form(of kind: String) -> String {
        switch kind {
        case "file": "file[MOUNT:INODE] with the mount id and the inode in hexadecimal, as in file[1a:2c01]"
        case "tty": "tty[RDEV:DEV] with both devices in hexadecimal, as in tty[8801:18]"
        case "dev":
            "dev[MAJOR/MINOR]:VALUE at the dump, with a name of your choice, and dev[VALUE]:PATH at the restore, with the path of"
                + " a device"
        case "pipe": "pipe:[INODE], as the descriptor in /proc/PID/fd is called"
        default: "unix[INODE], with the inode that the descriptor in /proc/PID/fd shows as socket:[INODE]"
        }
    }

    /// The two sides of a key that names a device to be opened, `dev[VALUE]:PATH`; nil for any other.
    public static func device(_ key: String) -> (key: String, path: String)? { Parts(key)?.device }

    /// A key in the one form in which it is looked for: CRIU's own manual writes some in two.
    public static func canonical(_ key: String) -> String {
        guard let parts = Parts(key), parts.value.isEmpty, (built + ["socket"]).contains(parts.kind) else { return key }
        let numbers = parts.numbers.map { number in
            // A number that is written with leading zeros or capitals is the same number.
            UInt64(number, radix: parts.radix).map { String($0, radix: parts.radix) } ?? number
        }
        let colon = ["pipe", "socket"].contains(parts.kind) ? ":" : ""
        return "\(parts.kind)\(colon)[\(numbers.joined(separator: ":"))]"
    }

    /// What a key is made of.
    private struct Parts {
        let kind: String
        let numbers: [String]
        /// What follows the bracket, after its colon.
        let value: String

        init?(_ key: String) {
            guard let open = key.firstIndex(of: "["), let close = key[open...].firstIndex(of: "]") else { return nil }
            var kind = String(key[..<open])
            if kind.last == ":" { kind.removeLast() }
            let inside = key[key.index(after: open)..<close]
            let rest = key[key.index(after: close)...]
            guard !kind.isEmpty, !kind.contains("/"), rest.isEmpty || rest.first == ":" else { return nil }
            self.kind = kind
            numbers = inside.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            value = String(rest.dropFirst())
        }

        /// Of `dev[VALUE]:PATH`.
        var device: (key: String, path: String)? {
            let name = numbers.joined(separator: ":")
            return kind == "dev" && value.hasPrefix("/") && !name.isEmpty ? ("dev[\(name)]", value) : nil
        }

        /// Of `dev[MAJOR/MINOR]:VALUE`, both in decimal.
        private var number: (UInt32, UInt32)? {
            let parts = numbers.joined(separator: ":").split(separator: "/", omittingEmptySubsequences: false)
            guard kind == "dev", parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]),
                !value.isEmpty, !value.contains("]")
            else { return nil }
            return (major, minor)
        }

        var radix: Int { ["file", "tty"].contains(kind) ? 16 : 10 }

        var isWellFormed: Bool {
            if kind == "dev" { return device != nil || number != nil }
            return value.isEmpty && numbers.count == (radix == 16 ? 2 : 1)
                && numbers.allSatisfy { UInt64($0, radix: radix) != nil }
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
        // A file is named by its path from the root on.
        let key = String(ExternalResource.canonical(String(rest.dropFirst())).drop { $0 == "/" })
        guard !key.isEmpty else { return .failure(wrong) }
        for kind in ["mnt[", "net[", "pid["] where key.hasPrefix(kind) {
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
