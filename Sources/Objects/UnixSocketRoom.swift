internal import Linux
internal import SystemPackage

/// A place where a Unix socket can be bound to a name whose real place is taken, or shall stay free: a directory that
/// is Apus' root for a moment. Sockets keep the name that they were bound to, as text.
///
/// The directory holds nothing but the directories of the name, and is gone when the socket has been connected to.
struct UnixSocketRoom {
    private let path: FilePath
    private let start: FilePath
    private let file: FilePath

    /// - Parameters:
    ///   - name: as the socket shall have it.
    ///   - directory: from where it is resolved, where it is relative.
    init(for name: FilePath, in directory: FilePath?, number: UInt32) throws(Errno) {
        path = FilePath("/tmp/apus-sockets-\(Processes.current)-\(number)-\(SystemClock.monotonic.now)")
        start = directory.map { [path] in $0.components.isEmpty ? path : path.appending($0.components) } ?? path
        file = (name.isAbsolute ? path : start).appending(name.components)
        try Files.makeDirectory(path, mode: 0o700)
        var made = path
        for component in file.components.dropFirst(path.components.count).dropLast() {
            made.append(component)
            do throws(Errno) {
                try Files.makeDirectory(made, mode: 0o700)
            } catch {
                if error != .fileExists { throw error }
            }
        }
    }

    /// Does something while the directory is Apus' root. Only one thread of Apus works meanwhile.
    func inside(_ body: () throws(Errno) -> Void) throws(Errno) {
        let way: OpenFlags = [.path, .directory]
        let root = try Files.open("/", way)
        let here = try Files.open(".", way)
        let inner = try Files.open(start, way)
        try Files.changeRoot(path)
        let result = Result { () throws(Errno) in
            try Files.changeDirectory(inner.raw)
            try body()
        }
        // The way back is open as long as a directory outside is.
        try Files.changeDirectory(root.raw)
        try Files.changeRoot(".")
        try Files.changeDirectory(here.raw)
        try result.get()
    }

    /// Removes the name and the directories.
    func remove() {
        try? Files.remove(file)
        var directory = file.removingLastComponent()
        while directory.components.count >= path.components.count {
            try? Files.remove(directory, isDirectory: true)
            directory.removeLastComponent()
        }
    }
}
