internal import Diagnostics
public import Logging

/// The dump of a process tree.
public enum Dump {
    /// Dumps a tree, or leaves it as it was and throws.
    public static func run(_ options: DumpOptions, logger: Logger) throws {
        throw Problem("not-built", "the dump is not built yet", remedy: "")
    }
}
