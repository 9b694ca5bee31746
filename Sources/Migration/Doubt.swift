public import Diagnostics
internal import Linux
public import SystemPackage

/// Trees of this host of which it is not settled where they run.
public enum Doubt {
    /// Sees to it that nothing is made of an original that stands still and may run on another host: there would be two.
    ///
    /// - Parameters:
    ///   - pid: the first process of what is to be dumped or moved.
    ///   - state: where Apus notes what has left.
    /// - Throws: `migration-unsettled` where it, or a descendant, is such an original; `state-unreadable`.
    public static func check(_ pid: Int32, in state: FilePath) throws(Problem) {
        let records: [Journal.Record]
        do throws(Problem) { records = try Journal(of: .departures, in: state).records() } catch {
            // Who may not look there has not moved anything either.
            if error.cause?.errno == .permissionDenied { return }
            throw error
        }
        if records.isEmpty { return }
        let tree = Procfs.live.tree(of: pid)
        for record in records {
            guard let original = Originals.pids(record).intersection(tree).min() else { continue }
            throw Problem(
                .unsettled,
                "the process is the original of a migration to \(record.peer) of which it is not settled where it runs: it stands still",
                object: .init(pid: original), remedy: "Settle that first: apus recover")
        }
    }
}
