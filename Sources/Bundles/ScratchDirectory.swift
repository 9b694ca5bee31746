public import Diagnostics
internal import Glibc
internal import Linux
public import SystemPackage

/// A directory for what is needed for the time of one run: images on their way into a bundle or out of one.
///
/// It belongs to its owner alone (0700) and is locked (flock(2)) for as long as it is in use, by an open file that dies
/// with the process. So what a run leaves that is killed by SIGKILL is known by its name and by the missing lock, and
/// the next run in the same place removes it.
public final class ScratchDirectory: Sendable {
    /// Where it is.
    public let path: FilePath
    private let descriptor: Int32

    private static let prefix = ".apus-"
    private static let suffix = ".tmp"

    /// Makes a directory, and removes those that killed runs have left beside it.
    ///
    /// - Throws: `bundle-unwritable`.
    public init(in place: FilePath) throws(Problem) {
        Self.sweep(place)
        var attempts = 0
        while true {
            attempts += 1
            let name = Self.prefix + String(UInt64.random(in: 0...UInt64.max), radix: 36) + Self.suffix
            let path = place.appending(name)
            do throws(Errno) {
                try Files.makeDirectory(path, mode: 0o700)
                let directory = try Files.open(path, [.directory, .noFollow])
                _ = flock(directory.raw, LOCK_EX | LOCK_NB)
                // Another run may have swept it away before it was locked.
                if try Files.status(ofDescriptor: directory.raw).linkCount > 0,
                    (try? Files.access(path, mode: 0)) != nil
                {
                    self.path = path
                    descriptor = directory.release()
                    return
                }
            } catch .fileExists {
                continue
            } catch .noSuchFileOrDirectory where attempts < 100 && (try? Files.access(place, mode: 0)) != nil {
                // Swept away between two calls. A directory that is removed itself, and is open yet, says the same for ever.
                continue
            } catch {
                throw Problem(
                    .bundleUnwritable, "no directory for the images can be made here",
                    object: .init(path: place.string),
                    cause: .init(error, attempted: "mkdir"),
                    remedy: "Name a place that can be written to with --work-dir")
            }
        }
    }

    deinit {
        remove()
        try? Files.close(descriptor)
    }

    /// Removes the directory with all that is in it. It may have been removed before.
    public func remove() {
        Self.empty(descriptor, depth: 0)
        try? Files.remove(path, isDirectory: true)
    }

    /// Makes a directory in it.
    public func makeDirectory(_ name: String) throws(Problem) -> FilePath {
        let path = path.appending(name)
        do throws(Errno) { try Files.makeDirectory(path, mode: 0o700) } catch {
            throw .unwritable(path.string, error, attempted: "mkdir")
        }
        return path
    }

    /// How many bytes of what is free are left to others.
    static let reserve: UInt64 = 16 << 20

    /// How many bytes there is room for, less that part.
    static func room(in directory: Int32) -> UInt64? {
        Files.room(in: directory).map { $0 - min($0, reserve) }
    }

    /// Where such directories are made if nothing else is said: `$TMPDIR`, or `/var/tmp`, which is on a disk.
    public static var usualPlace: FilePath {
        // SAFETY: a C string that is copied at once.
        if let named = unsafe getenv("TMPDIR"), unsafe named.pointee != 0 {
            return unsafe FilePath(platformString: named)
        }
        return "/var/tmp"
    }

    private static func sweep(_ place: FilePath) {
        guard let entries = try? Files.entries(of: place) else { return }
        for entry in entries {
            guard let name = String(validating: entry.name, as: UTF8.self), name.hasPrefix(prefix),
                name.hasSuffix(suffix)
            else { continue }
            let path = place.appending(name)
            guard let old = try? Files.open(path, [.directory, .noFollow]),
                let status = try? Files.status(ofDescriptor: old.raw), status.uid == geteuid(),
                flock(old.raw, LOCK_EX | LOCK_NB) == 0
            else { continue }
            empty(old.raw, depth: 0)
            try? Files.remove(path, isDirectory: true)
        }
    }

    /// Removes what is in a directory. Symbolic links are not followed.
    private static func empty(_ directory: Int32, depth: Int) {
        guard depth < 100, let own = try? Files.open(".", .directory, at: directory),
            let entries = try? Files.entries(ofDescriptor: own.raw)
        else { return }
        for entry in entries {
            let name = FilePath(bytes: entry.name)
            if (try? Files.remove(name, at: directory)) != nil { continue }
            if let inner = try? Files.open(name, [.directory, .noFollow], at: directory) {
                empty(inner.raw, depth: depth + 1)
            }
            try? Files.remove(name, isDirectory: true, at: directory)
        }
    }
}
