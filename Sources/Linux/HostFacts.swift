internal import CLinux
internal import Glibc
public import SystemPackage

/// What this host is.
public struct HostFacts: Sendable, Equatable {
    /// uname(2), as bytes.
    public var system, node, release, version, machine: [UInt8]
    /// The kernel's version, from `release`.
    public var kernel: KernelVersion

    /// In bytes; a power of two.
    public static let pageSize = UInt64(sysconf(Int32(_SC_PAGESIZE)))

    /// Ticks in a second of the times in `/proc/PID/stat`.
    public static let ticksPerSecond = UInt64(sysconf(Int32(_SC_CLK_TCK)))

    /// Asks the kernel (uname(2)).
    public init() throws(Errno) {
        // Six fields of 65 bytes, each ending in a NUL.
        let length = 65
        let text = try bytes(filledBy: 6 * length) {
            let result = outcome(of: Int(SYS_uname), $0)
            return result.map { _ in 6 * length }
        }
        func field(_ index: Int) -> [UInt8] { Array(text[(index * length)...].prefix(length).prefix { $0 != 0 }) }
        (system, node, release) = (field(0), field(1), field(2))
        (version, machine) = (field(3), field(4))
        kernel = KernelVersion(release: release) ?? KernelVersion(0, 0)
    }
}

/// The version of a kernel.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var major, minor, patch: Int

    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    /// From the release that uname(2) gives: `6.1.0-49-amd64`, `5.10`, `6.18.44-custom+`; nil for anything else.
    public init?(release: [UInt8]) {
        let numbers = release.prefix { $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            .split(separator: UInt8(ascii: ".")).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
        guard numbers.count >= 2 else { return nil }
        self.init(numbers[0], numbers[1], numbers.count > 2 ? numbers[2] : 0)
    }

    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }

    public var description: String { "\(major).\(minor).\(patch)" }
}
