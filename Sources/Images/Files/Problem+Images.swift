public import Diagnostics
internal import SystemPackage

extension Problem.Code {
    /// An image file that must be there is not.
    public static let imageMissing: Self = "image-missing"
    /// A file ends before what it announces.
    public static let imageTruncated: Self = "image-truncated"
    /// The first bytes are not those of the kind of image that the name promises.
    public static let imageBadMagic: Self = "image-bad-magic"
    /// A frame that cannot be decoded.
    public static let imageBadFrame: Self = "image-bad-frame"
    /// Values that contradict each other or what Linux allows.
    public static let imageInvalid: Self = "image-invalid"
    /// The kernel refused to open or read a file.
    public static let imageUnreadable: Self = "image-unreadable"
    /// The kernel refused to write a file: a full disk, for example.
    public static let imageUnwritable: Self = "image-unwritable"
    /// A symbolic link, device or directory in place of an image file.
    public static let imageNotRegular: Self = "image-not-regular"
    /// A file differs from what the manifest recorded.
    public static let imageChanged: Self = "image-changed"
    /// Images of a format version that Apus does not know.
    public static let imageVersion: Self = "image-version"
    /// Images of a processor of another kind.
    public static let imageArchitecture: Self = "image-architecture"
    /// Somebody else works in the image directory.
    public static let imageBusy: Self = "image-busy"
    /// The image directory holds another dump, which would be lost.
    public static let imageExists: Self = "image-exists"
    /// The chain of parent directories is broken, too long or a loop.
    public static let imageParent: Self = "image-parent"
}

/// What users are told to do about images that were damaged on their way.
let copyAgain = "Copy the image directory again from where it was dumped, or make a new dump"

extension Problem {
    /// A problem of one image file.
    static func image(
        _ code: Code, _ path: FilePath, _ summary: String, cause: Cause? = nil, remedy: String = copyAgain
    ) -> Problem {
        Problem(code, summary, object: Object(path: path.string), cause: cause, remedy: remedy)
    }
}
