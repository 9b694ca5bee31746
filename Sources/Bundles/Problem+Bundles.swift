public import Diagnostics
internal import SystemPackage

extension Problem.Code {
    /// A file that is no bundle, or one that says something that no bundle says.
    public static let bundleInvalid: Self = "bundle-invalid"
    /// A bundle that ends before its end.
    public static let bundleTruncated: Self = "bundle-truncated"
    /// A bundle whose content is not what was packed into it.
    public static let bundleChanged: Self = "bundle-changed"
    /// The kernel refused to open or read a bundle, or what it is unpacked into.
    public static let bundleUnreadable: Self = "bundle-unreadable"
    /// The kernel refused to write a bundle, or whoever was to read it has gone.
    public static let bundleUnwritable: Self = "bundle-unwritable"
    /// A file of the bundle's name is there already.
    public static let bundleExists: Self = "bundle-exists"
    /// A bundle is encrypted, and there is no key for it.
    public static let bundleLocked: Self = "bundle-locked"
    /// A key, a recipient or a passphrase that is none.
    public static let bundleKey: Self = "bundle-key"
    /// There is not enough room on the disk for what is in a bundle.
    public static let bundleSpace: Self = "bundle-space"
}

extension Problem {
    /// A bundle that cannot be what it says it is.
    static func invalid(_ summary: String, at path: String? = nil) -> Problem {
        Problem(
            .bundleInvalid, summary, object: .init(path: path),
            remedy: "Copy the bundle again from where it was made, or make a new dump")
    }

    /// A bundle whose content is not what its checksums say.
    static func changed(at path: String? = nil) -> Problem {
        Problem(
            .bundleChanged, "the content of the bundle is not what was packed: checksums differ",
            object: .init(path: path),
            remedy: "Copy the bundle again from where it was made, or make a new dump")
    }

    /// Something else altogether.
    static func noBundle() -> Problem {
        Problem(
            .bundleInvalid, "this is no bundle: it does not begin with a manifest",
            remedy:
                "Name an image directory, or a bundle as `apus dump -o FILE.apus` makes it; one that was damaged, copy again"
        )
    }

    static func truncated() -> Problem {
        Problem(
            .bundleTruncated, "the bundle ends before its end",
            remedy: "Copy it again from where it was made; if it came over a pipe, see what the dump says")
    }

    static func unreadable(_ path: String?, _ error: Errno, attempted: String) -> Problem {
        Problem(
            .bundleUnreadable, "the bundle cannot be read", object: .init(path: path),
            cause: .init(error, attempted: attempted), remedy: "Run as a user who may read it")
    }

    static func unwritable(_ path: String?, _ error: Errno, attempted: String) -> Problem {
        Problem(
            .bundleUnwritable, "the bundle cannot be written", object: .init(path: path),
            cause: .init(error, attempted: attempted),
            remedy: error == .noSpace ? "Make room, or name a place on another disk" : "Name another place for it")
    }
}
