internal import ArgumentParser
internal import Compatibility
internal import Linux
internal import SystemPackage

/// A path on the command line, byte by byte as it was given.
struct RawPath: ExpressibleByArgument, Sendable {
    let path: FilePath

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        path = FilePath(bytes: RawArgument.bytes(argument))
    }

    init(_ path: FilePath) { self.path = path }

    var defaultValueDescription: String { path.string }
    static var defaultCompletionKind: CompletionKind { .file() }
}
