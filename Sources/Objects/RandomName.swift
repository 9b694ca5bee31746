public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A name that nothing else has.
public enum RandomName {
    private static let source = FilePath("/proc/sys/kernel/random/uuid")

    /// What tells a name from all others of its kind, as that of a file on its way. A pid would not: Apus is pid 1 in each pid
    /// namespace of its own.
    public static var mark: String { String(UInt64.random(in: .min ... .max), radix: 16) }

    /// The same with version 8 (RFC 9562, section 5.8: whatever its maker says), by which Apus knows its own.
    ///
    /// - Throws: `object-unreadable`.
    public static func makeOwn() throws(Problem) -> String {
        var text = Array(try make())
        if text.count > InventoryEntry.markPlace { text[InventoryEntry.markPlace] = InventoryEntry.mark }
        return String(text)
    }

    /// A random UUID (RFC 9562, version 4), which the kernel makes (random(4)): 36 characters.
    ///
    /// - Throws: `object-unreadable`.
    public static func make() throws(Problem) -> String {
        do throws(Errno) {
            return String(decoding: try Files.contents(of: source).prefix(36), as: UTF8.self)
        } catch {
            throw Problem(
                .objectUnreadable, "the kernel gives no random name",
                cause: .init(error, attempted: "read of \(source)"), remedy: "Mount /proc")
        }
    }
}
