public import Diagnostics
internal import Linux
public import SystemPackage

/// Where a dump goes that is to become a bundle, and in which form.
public struct BundleTarget: Sendable {
    public enum Place: Sendable, Equatable {
        case file(FilePath)
        /// A descriptor, the standard output for example, which the caller keeps.
        case descriptor(Int32)
    }

    public var place: Place
    public var compression = Compression.usual
    /// A file that is there already may be replaced, once the new one is whole.
    public var overwrites = false
    /// The image directory stays, besides the bundle: it is the user's own.
    public var keepsImages = false
    /// Who can read it; everybody where nobody is named.
    public var lock: AgeLock?

    public init(_ place: Place) { self.place = place }

    /// The directory in which images wait to be packed if nothing else is said: that of the bundle.
    public var usualScratchPlace: FilePath {
        switch place {
        case .file(let path): Self.directory(of: path)
        case .descriptor: ScratchDirectory.usualPlace
        }
    }

    static func directory(of path: FilePath) -> FilePath {
        let parent = path.removingLastComponent()
        return parent.isEmpty ? "." : parent
    }

    /// Asked before a process is frozen.
    ///
    /// - Throws: `bundle-exists`, `bundle-unwritable`.
    public func check() throws(Problem) {
        guard case .file(let path) = place else { return }
        if let status = try? Files.status(of: path, followLinks: false) {
            guard overwrites, status.kind == .regular else { throw Self.exists(path) }
        }
        do throws(Errno) {
            try Files.access(Self.directory(of: path), mode: 3)
        } catch {
            throw .unwritable(path.string, error, attempted: "faccessat(W_OK)")
        }
    }

    static func exists(_ path: FilePath) -> Problem {
        Problem(
            .bundleExists, "there is a file of this name already", object: .init(path: path.string),
            remedy:
                "Name another file, remove this one, or give --overwrite to have it replaced when the new one is whole")
    }
}
