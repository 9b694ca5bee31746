internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// Processes outside of the tree that share with one of it what clone(2) lets processes share: memory, descriptors,
/// directories, signal handlers. After the restore there would be two of each.
///
/// All processes of the host are asked about by kcmp(2), whose order finds each among those of the tree in a few
/// comparisons of about 1 us: nothing need be read of them.
struct OutsideSharers {
    private static let resources: [(what: String, resource: Processes.Resource)] = [
        ("memory", .memory), ("descriptors", .descriptors), ("working directory", .fileSystemContext),
        ("signal handlers", .signalHandlers),
    ]

    private let processes: [SurveyedProcess]
    private let pids: Set<Int32>
    private var tables: [(what: String, holders: SharingIDs)] = []
    private(set) var found: [Problem] = []
    /// All that were looked at. What shares nothing with the tree never will: it is a matter of birth.
    private(set) var seen: Set<Int32> = []

    /// - Parameter known: those that were looked at before and share nothing with the tree.
    init(_ processes: [SurveyedProcess], known: Set<Int32>) {
        self.processes = processes
        pids = Set(processes.map(\.pid))
        for (what, resource) in Self.resources {
            var holders = SharingIDs(resource, first: 1)
            // One that has just ended, or a kernel without kcmp(2): the capture tells of it.
            for process in processes where !process.isZombie { _ = try? holders.id(of: process.eye) }
            tables.append((what, holders))
        }
        for pid in (try? Procfs.live.processes()) ?? [] where !pids.contains(pid) && !known.contains(pid) {
            if let problem = look(at: pid) { found.append(problem) } else { seen.insert(pid) }
        }
    }

    private func look(at pid: Int32) -> Problem? {
        var shared: [String] = []
        var holder: Int32?
        for table in tables {
            // What has ended meanwhile shares nothing any more.
            guard let one = try? table.holders.holder(with: pid) else { continue }
            shared.append(table.what)
            holder = holder ?? one
        }
        guard let process = processes.first(where: { $0.eye == holder }), !Descent.leads(to: pid, from: pids) else {
            return nil
        }
        let name = (try? ProcessDirectory(pid).stat()).map { " (\(String(decoding: $0.name, as: UTF8.self)))" } ?? ""
        let isParent = processes[0].stat.parent == pid
        return Problem(
            .leadsOutside,
            "it shares its \(shared.joined(separator: ", ")) with process \(pid)\(name), which is not in the tree",
            object: process.object,
            remedy: isParent
                ? "Dump the parent with it: --tree \(pid)"
                : "Dump the processes that share it together, by a parent of all, or end the other")
    }
}
