public import Linux
public import SystemPackage

/// The other name of a file that has lost the one by which it was opened.
///
/// sem_open(3) of the C library makes a semaphore under a name that nobody knows, gives it its own (link(2)), and takes
/// the first away: whoever has made one has mapped a file that seems to be deleted.
public enum RemainingName {
    /// Directories with more names than this are not searched.
    private static let mostEntries = 65_536

    /// A name in the same directory for a file, nil where there is none.
    ///
    /// - Parameters:
    ///   - lost: the name that it had.
    ///   - status: of the file itself.
    public static func find(for lost: FilePath, _ status: FileStatus) -> FilePath? {
        guard status.kind == .regular, status.linkCount > 0 else { return nil }
        let directory = lost.removingLastComponent()
        // What cannot be searched has no name that could be used.
        guard let entries = try? Files.entries(of: directory), entries.count <= mostEntries else { return nil }
        for entry in entries where entry.inode == status.inode {
            let path = directory.appending(FilePath(bytes: entry.name).components)
            guard let found = try? Files.status(of: path, followLinks: false) else { continue }
            if found.device == status.device && found.inode == status.inode { return path }
        }
        return nil
    }
}
