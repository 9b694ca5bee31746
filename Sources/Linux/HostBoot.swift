internal import SystemPackage

/// The current boot of this host.
public enum HostBoot {
    /// A random UUID that the kernel has made for it (random(4), boot_id); nil without /proc.
    public static var id: String? {
        guard let text = try? Files.contents(of: "/proc/sys/kernel/random/boot_id") else { return nil }
        return String(decoding: text.prefix(36), as: UTF8.self)
    }

    /// The same where it is compared with what was written down: empty without /proc.
    public static var mark: String { id ?? "" }
}
