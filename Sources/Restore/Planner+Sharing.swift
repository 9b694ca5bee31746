internal import Diagnostics
internal import Images
internal import Objects
internal import Tracing

/// What processes share without being threads: memory, signal handlers, descriptors and directories.
extension Planner {
    /// Who shares with its maker, by index of the process.
    struct Sharing: Sendable {
        var descriptors: Set<Int> = []
        var directories: Set<Int> = []
        /// Their memory is rebuilt by the one that all have it from, and so are all settings that belong to it.
        var memory: Set<Int> = []
        var handlers: Set<Int> = []
        /// The tasks by the number of their table of descriptors.
        var tables: [UInt32: [Int]] = [:]
    }

    mutating func arrangeSharing() {
        for (index, task) in images.tasks.enumerated() {
            if let table = task.ids?.filesID, table != 0 { sharing.tables[table, default: []].append(index) }
        }
        let memory = tables(\.vmID)
        let (handlers, descriptors, directories) = (tables(\.sighandID), tables(\.filesID), tables(\.fsID))
        family.joinSisters([memory, handlers, descriptors, directories])
        sharing.descriptors = shared("its descriptors", descriptors)
        sharing.directories = shared("its working directory", directories)
        sharing.memory = shared("its memory", memory)
        sharing.handlers = sharing.memory.isEmpty ? [] : shared("its signal handlers", handlers)
        checkSharing()
        for index in sharing.memory where images.tasks.indices.contains(index) {
            let (task, owner) = (images.tasks[index], images.tasks[memoryOwner(of: index)])
            vdsos[task.pid] = vdsos[owner.pid]
        }
    }

    /// The process that rebuilds the memory of a task: itself, or the one that it has it from.
    func memoryOwner(of index: Int) -> Int {
        var owner = index
        while sharing.memory.contains(owner), let maker = family.processes[owner].maker { owner = maker }
        return owner
    }

    /// Images are input. What is said of one memory has to be the same wherever it is said, and handlers lie in memory.
    private mutating func checkSharing() {
        var handlers: [UInt32: UInt32] = [:]
        for (index, task) in images.tasks.enumerated() {
            let owner = images.tasks[memoryOwner(of: index)]
            if owner.pid != task.pid, !isSameMemory(task, owner) {
                refuseSharing(task, "has the memory of process \(owner.pid), and another one")
            }
            guard let ids = task.ids, ids.sighandID != 0 else { continue }
            if ids.vmID != handlers[ids.sighandID, default: ids.vmID] {
                refuseSharing(task, "has the signal handlers of a process whose memory it has not")
            }
            handlers[ids.sighandID] = ids.vmID
        }
    }

    private mutating func isSameMemory(_ task: TaskImages, _ owner: TaskImages) -> Bool {
        guard task.memory == owner.memory else { return false }
        do throws(Problem) {
            return try segments(of: task) == segments(of: owner)
        } catch {
            // It comes again where the owner itself is composed.
            return true
        }
    }

    private mutating func refuseSharing(_ task: TaskImages, _ what: String) {
        problems.append(
            Problem(
                .imageUnsuitable, "the images say that it \(what)",
                object: .init(pid: task.pid, process: task.task.commText),
                remedy: "Copy the images again, all of them"))
    }

    /// Threads of all processes with one memory count themselves out together: the last one unmaps what was Apus'.
    mutating func joinCounts() {
        for index in sharing.memory where !plan.tasks[index].isHelper {
            plan.tasks[index].usersPlace = plan.tasks[memoryOwner(of: index)].usersPlace
        }
    }

    /// What a process shares with its maker, in words.
    func sharedWithMaker(_ process: Int) -> [String] {
        [
            (sharing.memory, "memory"), (sharing.handlers, "signal handlers"), (sharing.descriptors, "descriptors"),
            (sharing.directories, "working directory"),
        ].filter { $0.0.contains(process) }.map(\.1)
    }

    private func tables(_ id: KeyPath<TaskKobjIdsEntry, UInt32>) -> SharedTables {
        images.tasks.map { task in task.ids.map { $0[keyPath: id] }.flatMap { $0 == 0 ? nil : $0 } }
    }

    private mutating func shared(_ what: String, _ tables: SharedTables) -> Set<Int> {
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

    /// CLONE_VM, CLONE_FS, CLONE_FILES and CLONE_SIGHAND, for the making of a process.
    func sharingFlags(of process: Int) -> UInt64 {
        let (cloneVM, cloneFS, cloneFiles, cloneHandlers): (UInt64, UInt64, UInt64, UInt64) =
            (0x100, 0x200, 0x400, 0x800)
        return (sharing.directories.contains(process) ? cloneFS : 0)
            | (sharing.descriptors.contains(process) ? cloneFiles : 0)
            | (sharing.memory.contains(process) ? cloneVM : 0)
            | (sharing.handlers.contains(process) ? cloneHandlers : 0)
    }

    /// All that have the same table of descriptors as a task, the task included.
    private func sharers(of index: Int) -> [Int] {
        images.tasks[index].ids.flatMap { sharing.tables[$0.filesID] } ?? [index]
    }

    /// Whether others have the same table of descriptors as a task.
    func sharesTable(_ task: TaskImages) -> Bool {
        task.ids.flatMap { sharing.tables[$0.filesID] }.map { $0.count > 1 } ?? false
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
