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
    private let processes: [SurveyedProcess]
    private let pids: Set<Int32>
    private let sharing: TreeSharing
    private(set) var found: [Problem] = []
    /// All that were looked at. What shares nothing with the tree never will: it is a matter of birth.
    private(set) var seen: Set<Int32> = []

    /// - Parameter known: those that were looked at before and share nothing with the tree.
    init(_ processes: [SurveyedProcess], _ sharing: TreeSharing, known: Set<Int32>) {
        self.processes = processes
        self.sharing = sharing
        pids = Set(processes.map(\.pid))
        for pid in (try? Procfs.live.processes()) ?? [] where !pids.contains(pid) && !known.contains(pid) {
            // What cannot be told, as one of the tree has just ended, is asked again of the frozen tree.
            guard let holders = try? holders(of: pid) else { continue }
            if let problem = problem(of: pid, holders) { found.append(problem) } else { seen.insert(pid) }
        }
    }

    /// What another process shares with the tree, and with whom.
    private func holders(of pid: Int32) throws(Errno) -> [(what: String, holder: Int32)] {
        var found: [(what: String, holder: Int32)] = []
        for (kind, table) in zip(TreeSharing.kinds, sharing.tables) {
            if let holder = try table.holder(with: pid) { found.append((kind.what, holder)) }
        }
        return found
    }

    private func problem(of pid: Int32, _ holders: [(what: String, holder: Int32)]) -> Problem? {
        let (shared, holder) = (holders.map(\.what), holders.first?.holder)
        guard let holder, let process = processes.first(where: { $0.eye == holder }),
            !Descent.leads(to: pid, from: pids)
        else {
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
