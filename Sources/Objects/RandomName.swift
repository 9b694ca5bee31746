public import Diagnostics
internal import Linux
internal import SystemPackage

/// A name that nothing else has.
public enum RandomName {
    private static let source = FilePath("/proc/sys/kernel/random/uuid")

    /// What tells a name from all others of its kind, as that of a file on its way. A pid would not: Apus is pid 1 in each pid
    /// namespace of its own.
    public static var mark: String { String(UInt64.random(in: .min ... .max), radix: 16) }

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
