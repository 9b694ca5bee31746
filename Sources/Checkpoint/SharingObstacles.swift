internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// What processes share without being threads of one another (clone(2)), and cannot share again after a restore: memory,
/// signal handlers and tables of processes that have not come from one another.
enum SharingObstacles {
    private static let kinds: [(what: String, resource: Processes.Resource)] = [
        ("memory", .memory), ("signal handlers", .signalHandlers), ("descriptors", .descriptors),
        ("working directory", .fileSystemContext),
    ]

    /// - Parameters:
    ///   - sharing: who has what in common.
    ///   - family: how the tree is to be made again.
    static func find(_ processes: [SurveyedProcess], _ sharing: TreeSharing, _ family: Family) -> [Problem] {
        // Where one of them has ended just now, or the kernel lacks kcmp(2), the capture tells of it.
        let all: [SharedTables] = kinds.map { sharing.numbers($0.resource) }
        guard all.allSatisfy({ zip(processes, $0).allSatisfy { $0.isZombie || $1 != nil } }) else { return [] }
        var family = family
        family.joinSisters(all)
        var found: [Problem] = []
        for (kind, tables) in zip(kinds, all) {
            // Whoever shares handlers shares the memory that they lie in: that is told already.
            if kind.resource == .signalHandlers, !found.isEmpty { continue }
            found += misfits(processes, family, kind.what, tables)
        }
        return found
    }

    private static func misfits(
        _ processes: [SurveyedProcess], _ family: Family, _ what: String, _ tables: SharedTables
    ) -> [Problem] {
        do throws(Family.Misfits) {
            _ = try family.sharing(tables)
            return []
        } catch {
            return error.all.compactMap { misfit in
                guard let index = processes.firstIndex(where: { $0.pid == misfit.pid }) else { return nil }
                // A child of vfork(2) borrows its parent's memory for a moment; the freeze waits for its end.
                let sharers = zip(processes, tables).filter { $0.1 == tables[index] }.map(\.0)
                if what == "memory", sharers.contains(where: isInVfork) { return nil }
                return Problem(
                    .unsupported, "its \(what): \(misfit.reason)", object: processes[index].object,
                    remedy: "End one of the two before the dump")
            }
        }
    }

    private static func isInVfork(_ process: SurveyedProcess) -> Bool {
        process.threads.contains { thread in
            (try? ProcessDirectory(process.pid, thread: thread).stat())?.state == .uninterruptible
        }
    }
}
