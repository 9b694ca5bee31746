internal import Diagnostics
internal import Images
internal import Objects
internal import Tracing

/// Tables that processes share without being threads: descriptors and directories.
extension Planner {
    /// Who shares with its maker, by index of the process.
    struct Sharing: Sendable {
        var descriptors: Set<Int> = []
        var directories: Set<Int> = []
        /// The tasks by the number of their table of descriptors.
        var tables: [UInt32: [Int]] = [:]
    }

    mutating func arrangeSharing() {
        for (index, task) in images.tasks.enumerated() {
            if let table = task.ids?.filesID, table != 0 { sharing.tables[table, default: []].append(index) }
        }
        sharing.descriptors = shared("its descriptors", \.filesID)
        sharing.directories = shared("its working directory", \.fsID)
    }

    private mutating func shared(_ what: String, _ id: KeyPath<TaskKobjIdsEntry, UInt32>) -> Set<Int> {
        let tables = images.tasks.map { task in task.ids.map { $0[keyPath: id] }.flatMap { $0 == 0 ? nil : $0 } }
        do throws(Family.Misfits) {
            return try family.sharing(tables)
        } catch {
            for misfit in error.all {
                problems.append(
                    Problem(
                        .objectUnsupported, "\(what): \(misfit.reason)",
                        object: .init(pid: misfit.pid, process: images.task(misfit.pid)?.task.commText),
                        remedy: "End one of the two before the dump"))
            }
            return []
        }
    }

    /// CLONE_FS and CLONE_FILES, for the making of a process.
    func sharingFlags(of process: Int) -> UInt64 {
        let (cloneFS, cloneFiles): (UInt64, UInt64) = (0x200, 0x400)
        return (sharing.directories.contains(process) ? cloneFS : 0)
            | (sharing.descriptors.contains(process) ? cloneFiles : 0)
    }

    /// All that have the same table of descriptors as a task, the task included.
    private func sharers(of index: Int) -> [Int] {
        images.tasks[index].ids.flatMap { sharing.tables[$0.filesID] } ?? [index]
    }

    /// Adds the opening of a task's descriptors. A table that several share is filled once, by the one that all others
    /// have it from, when none of them needs any more what they have inherited from Apus.
    mutating func composeTable(_ index: Int, in batch: inout Batch) {
        if sharing.descriptors.contains(index) { return }
        let sharers = self.sharers(of: index)
        guard sharers.count > 1 else { return composeDescriptors(index, keeping: [index], in: &batch) }
        var table = Batch()
        composeDescriptors(index, keeping: sharers, in: &table)
        plan.tables.append(.init(owner: index, filling: placed(table)))
    }
}
