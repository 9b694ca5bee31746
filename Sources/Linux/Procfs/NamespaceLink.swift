public import SystemPackage

/// A namespace, as the links in `/proc/PID/ns` name it: `net:[4026531833]` (namespaces(7)).
public struct NamespaceLink: Sendable, Hashable {
    /// `net`, `pid`, `user` ...
    public var kind: String
    /// The inode's number, which identifies the namespace.
    public var inode: UInt64

    /// Parses the text of a link.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "ns") throws(ProcfsError) {
        var cursor = TextCursor(text, file: file)
        guard let kind = cursor.take(until: ":") else { throw cursor.malformed("':' after the kind") }
        self.kind = String(decoding: kind, as: UTF8.self)
        try cursor.expect("[")
        inode = try cursor.number("an inode")
        try cursor.expect("]")
    }
}
