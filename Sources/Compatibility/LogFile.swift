public import Diagnostics
internal import Linux
public import SystemPackage

/// The log file that a run was asked to write.
public enum LogFile {
    /// The path that `--log-file` means: relative to the work directory, or else to the images directory.
    public static func path(for invocation: Invocation) -> FilePath? {
        guard let name = invocation.value(of: "log-file") else { return nil }
        let directory = invocation.value(of: "work-dir") ?? invocation.value(of: "images-dir")
        let path = FilePath(bytes: name)
        return directory.map { FilePath(bytes: $0).pushing(path) } ?? path
    }

    /// Opens the log file anew. It is there from now on, whatever becomes of the run.
    ///
    /// - Throws: `log-unwritable`.
    public static func open(_ path: FilePath) throws(Problem) -> FileDescriptor {
        do {
            return try FileDescriptor.open(
                path, .writeOnly, options: [.create, .truncate, .append, .closeOnExec], permissions: .ownerReadWrite)
        } catch {
            throw Problem(
                .logUnwritable, "the log file cannot be written", object: .init(path: path.string),
                cause: .init(error as? Errno ?? .ioError, attempted: "open(O_WRONLY|O_CREAT)"),
                remedy: "Create its directory, or choose another with --log-file, --work-dir or --images-dir")
        }
    }
}

extension Problem.Code {
    /// The log file cannot be opened for writing.
    public static let logUnwritable: Self = "log-unwritable"
}
