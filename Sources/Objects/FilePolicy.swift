internal import Images
public import SystemPackage

/// How much a file of the host of the restore has to be like the one of the dump.
public enum FilePolicy: String, Sendable, CaseIterable {
    /// The same content.
    case exact
    /// The same build id (elf(5)); the same content where it has none.
    case buildID = "build-id"
    /// The same size, which is all that CRIU asks for.
    case size
    /// At least as long, with the same beginning as far as that is known.
    case grown
    /// Whatever it is.
    case ignore
    /// The same content; where it has another, the copy that the dump took along.
    case ship
}

/// Which files have to be how like.
public struct FileRules: Sendable, Equatable {
    /// For all files that no pattern speaks of; nil: what their use asks for.
    public var byDefault: FilePolicy?
    private var rules: [Rule] = []

    private struct Rule: Sendable, Equatable {
        var pattern: [UInt8]
        var policy: FilePolicy
    }

    public init() {}

    /// Adds `PATTERN=POLICY`. In a pattern `*` stands for anything, slashes as well, `?` for one byte, and `\` takes the
    /// meaning from what follows. Of several patterns that fit, the last counts.
    ///
    /// - Returns: false where the text is nothing of the kind.
    public mutating func add(_ text: [UInt8]) -> Bool {
        guard let sign = text.lastIndex(of: UInt8(ascii: "=")), sign > 0,
            let policy = FilePolicy(rawValue: String(decoding: text[(sign + 1)...], as: UTF8.self))
        else { return false }
        rules.append(Rule(pattern: Array(text[..<sign]), policy: policy))
        return true
    }

    /// Whether a pattern asks for this.
    public func speaks(of policy: FilePolicy) -> Bool { rules.contains { $0.policy == policy } }

    /// What is asked of a file by its name; nil where nothing is.
    public func policy(for path: FilePath) -> FilePolicy? {
        if rules.isEmpty { return nil }
        let name = path.imageBytes
        return rules.last { Self.matches($0.pattern[...], name[...]) }?.policy
    }

    /// Whether a pattern fits a whole name. Only the last `*` is ever gone back to: never more than length by length.
    private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        var (pattern, name) = (pattern, name)
        var retry: (pattern: ArraySlice<UInt8>, name: ArraySlice<UInt8>)?
        while !name.isEmpty || !pattern.isEmpty {
            if pattern.first == UInt8(ascii: "*") {
                pattern = pattern.dropFirst()
                retry = (pattern, name)
                continue
            }
            let isEscaped = pattern.first == UInt8(ascii: "\\") && pattern.count > 1
            let wanted = isEscaped ? pattern.dropFirst().first : pattern.first
            if let byte = name.first, let wanted, byte == wanted || !isEscaped && wanted == UInt8(ascii: "?") {
                pattern = pattern.dropFirst(isEscaped ? 2 : 1)
                name = name.dropFirst()
                continue
            }
            guard let last = retry, !last.name.isEmpty else { return false }
            retry = (last.pattern, last.name.dropFirst())
            (pattern, name) = (last.pattern, last.name.dropFirst())
        }
        return true
    }
}
