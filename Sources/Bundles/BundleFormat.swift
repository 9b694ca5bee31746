internal import Images

/// What a bundle is: a tar archive of an image directory, compressed, and perhaps encrypted.
///
/// Its first member is the manifest, so that whoever reads it knows the size of all images before they come. The others
/// follow in the order of their names, each name once. The last member has the SHA-256 of all files before it, in the
/// form of sha256sum(1): it makes the bundle whole, as it is written when nothing can go wrong any more.
enum BundleFormat {
    static let first = Manifest.fileName
    static let last = "SHA256SUMS"
    /// More members than any dump has.
    static let mostMembers = 4 << 20
    /// Members that the manifest does not list, such as directories and files that were shipped.
    static let mostUnlisted = 1 << 16

    /// The line of a file in the last member.
    static func line(_ digest: ContentDigest, _ path: String) -> String { "\(digest)  \(path)\n" }
}
