public import Logging

/// The dump of a process tree: it becomes a directory of images, or stays what it was.
public enum Dump {
    /// Dumps a tree.
    ///
    /// - Throws: `Problems` where the tree cannot be carried, all reasons at once; a `Problem` where the dump failed on
    ///   its way. The tree runs on as before then, and no image is left.
    ///
    /// - Parameter departure: where the pages go, if not into the images.
    public static func run(_ options: DumpOptions, departure: Departure? = nil, logger: Logger) throws {
        var session = DumpSession(options, departure, logger)
        try session.run()
    }
}
