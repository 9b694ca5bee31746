public import Logging

/// The dump of a process tree: it becomes a directory of images, or stays what it was.
public enum Dump {
    /// Dumps a tree.
    ///
    /// - Throws: `Problems` where the tree cannot be carried, all reasons at once; a `Problem` where the dump failed on
    ///   its way. The tree runs on as before then, and no image is left.
    public static func run(_ options: DumpOptions, logger: Logger) throws {
        var session = DumpSession(options, logger)
        try session.run()
    }
}
