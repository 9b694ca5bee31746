internal import Diagnostics
public import Logging

/// The restore of a process tree.
public enum Restoration {
    /// Restores a tree, or leaves nothing behind and throws.
    ///
    /// - Returns: the exit status of the tool.
    public static func run(_ options: RestoreOptions, logger: Logger) throws -> Int32 {
        throw Problem("not-built", "the restore is not built yet", remedy: "")
    }
}
