internal import SystemPackage

/// A pid namespace as it is written down for later (pid_namespaces(7)).
///
/// The number by which the kernel names a namespace is given to another one when it is gone. The start of its init, the process 1 in
/// it, tells them apart.
public struct PidNamespaceMark: Sendable, Equatable, CustomStringConvertible {
    /// As a link of `/proc/PID/ns` tells it.
    private let link: String
    /// When its init was started (proc_pid_stat(5)); nil where nobody noted it.
    private let start: UInt64?

    /// - Parameter text: as `description` has it.
    public init(_ text: String) {
        let parts = text.split(separator: " ", maxSplits: 1)
        link = parts.first.map(String.init) ?? ""
        start = parts.count > 1 ? UInt64(parts[1]) : nil
    }

    private init(link: String, start: UInt64?) { (self.link, self.start) = (link, start) }

    public var description: String { start.map { "\(link) \($0)" } ?? link }

    /// That of this process.
    public static var own: PidNamespaceMark {
        let link = Processes.pidNamespace(of: "self")
        // Whoever has entered a namespace may see the /proc of another one.
        guard link == Processes.pidNamespace(of: "1") else { return PidNamespaceMark(link: link, start: nil) }
        return PidNamespaceMark(link: link, start: try? ProcessDirectory(1).stat().startTime)
    }

    /// Whether both can be the same.
    public func matches(_ other: PidNamespaceMark) -> Bool {
        link == other.link && (start == nil || other.start == nil || start == other.start)
    }

    /// A process in it, of those that can be seen from here; nil where there is none.
    public func member() -> Int32? {
        let pids = ((try? Files.entries(of: "/proc")) ?? []).compactMap(\.number)
        let members = pids.filter { Processes.pidNamespace(of: "\($0)") == link }
        guard let start else { return members.first }
        // The number stays taken as long as anybody is there, also where the init has ended already.
        let others = members.contains { pid in
            let directory = ProcessDirectory(pid)
            guard (try? directory.status().namespacePids.last) == 1, let stat = try? directory.stat() else {
                return false
            }
            return stat.startTime != start
        }
        return others ? nil : members.first
    }
}
