public import SystemPackage

/// A line of `/proc/PID/cgroup` (cgroups(7)).
public struct ControlGroup: Sendable, Equatable {
    /// 0 for the unified hierarchy.
    public var hierarchy: Int32
    /// As they stand, separated by commas: `cpu,cpuacct`, `name=systemd`; empty for the unified hierarchy.
    public var controllers: [UInt8]
    /// Within the hierarchy, seen from the reader's cgroup namespace.
    public var path: [UInt8]

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "cgroup") throws(ProcfsError) -> [ControlGroup] {
        var groups: [ControlGroup] = []
        for var line in TextCursor(text, file: file).lines() {
            let hierarchy: Int32 = try line.number("the hierarchy")
            try line.expect(":")
            guard let controllers = line.take(until: ":") else { throw line.malformed("':' after the controllers") }
            groups.append(
                ControlGroup(hierarchy: hierarchy, controllers: Array(controllers), path: Array(line.rest)))
        }
        return groups
    }
}
