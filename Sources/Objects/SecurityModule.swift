public import Images
public import Linux
internal import SystemPackage

/// A security module of the kernel that gives every thread a label, by which it decides what the thread may do.
public enum SecurityModule: String, Sendable, CaseIterable {
    case appArmor = "apparmor"
    case seLinux = "selinux"

    public var name: String {
        switch self {
        case .appArmor: "AppArmor"
        case .seLinux: "SELinux"
        }
    }

    /// The number that images have for it.
    public var type: Lsmtype {
        switch self {
        case .appArmor: .apparmor
        case .seLinux: .selinux
        }
    }

    public init?(_ type: Lsmtype) {
        guard let module = Self.allCases.first(where: { $0.type == type }) else { return nil }
        self = module
    }

    /// The one that is on here; nil for none.
    public static let ofHost: SecurityModule? = {
        if (try? Files.contents(of: "/sys/module/apparmor/parameters/enabled"))?.first == UInt8(ascii: "Y") {
            return .appArmor
        }
        // Known only where SELinux is on, be it mounted or not.
        let fileSystems = (try? Files.contents(of: "/proc/filesystems")) ?? []
        return String(decoding: fileSystems, as: UTF8.self).contains("\tselinuxfs\n") ? .seLinux : nil
    }()

    /// In `/proc/PID`: where the label stands. With several modules AppArmor has a place of its own (since Linux 5.8).
    public var file: String {
        switch self {
        case .appArmor: Self.appArmorFile
        case .seLinux: "attr/current"
        }
    }

    private static let appArmorFile =
        (try? Files.status(of: "/proc/self/attr/apparmor/current")) == nil ? "attr/current" : "attr/apparmor/current"

    /// The label of a task; nil where it has none, or runs unconfined.
    public func label(of directory: ProcessDirectory) -> String? {
        guard let text = Self.text(directory, file) else { return nil }
        switch self {
        case .appArmor: return Self.profile(text)
        case .seLinux: return text
        }
    }

    /// The label that sockets of a task get; nil where it has said nothing (SELinux alone).
    public func socketLabel(of directory: ProcessDirectory) -> String? {
        self == .seLinux ? Self.text(directory, "attr/sockcreate") : nil
    }

    /// AppArmor writes the mode of a profile behind its name: "name (enforce)". It belongs to the profile, not to the task.
    static func profile(_ text: String) -> String? {
        if text == "unconfined" { return nil }
        guard text.hasSuffix(")"), let space = text.lastIndex(of: " ") else { return text }
        return String(text[..<space])
    }

    private static func text(_ directory: ProcessDirectory, _ file: String) -> String? {
        guard let bytes = try? Files.contents(of: directory.path.appending(file)) else { return nil }
        let label = bytes.prefix { $0 != 0 && $0 != UInt8(ascii: "\n") }
        return label.isEmpty ? nil : String(validating: label, as: UTF8.self)
    }

    /// What a thread writes into `file` to run under a label.
    public func command(for label: String) -> String {
        switch self {
        case .appArmor: "changeprofile \(label)"
        case .seLinux: label
        }
    }

    /// The profiles of AppArmor that are loaded here; nil where they cannot be seen.
    public static func profiles() -> Set<String>? {
        guard let text = try? Files.contents(of: "/sys/kernel/security/apparmor/profiles") else { return nil }
        return Set(String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { profile(String($0)) })
    }
}

/// What the caller of a restore has its tasks run as (`--lsm-profile`).
public struct SecurityProfile: Sendable, Equatable {
    public var module: SecurityModule
    public var label: String

    /// - Parameter text: `TYPE:NAME`.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), let module = SecurityModule(rawValue: String(text[..<colon])) else {
            return nil
        }
        self.module = module
        label = String(text[text.index(after: colon)...])
        if label.isEmpty { return nil }
    }
}
