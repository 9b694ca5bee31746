internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Memory that tasks share by copy-on-write.
extension Planner {
    /// The stored pages of a task.
    mutating func segments(of task: TaskImages) throws(Problem) -> [PageLayers.Segment] {
        if let known = segmentsByPid[task.pid] { return known }
        let segments = try layers.segments(id: UInt64(UInt32(bitPattern: task.pid)), known: task.pagemap)
        segmentsByPid[task.pid] = segments
        return segments
    }

    /// Finds out what tasks inherit from each other. Errors come again where the task itself is composed.
    mutating func findInheritance() {
        // Shared pages are those of a parent directory.
        guard layers.directories.count > 1, images.tasks.count > 1 else { return }
        // A segment of System V shared memory is attached whole: nothing may lie in its holes yet.
        let segmentsOfAll = Planner.segmentExtents(images)
        var members: [Inheritance.Member] = []
        for (index, planned) in plan.tasks.enumerated() {
            // Helpers make tasks, too, and have nothing of their own. Of tasks with one memory, one counts: it has it
            // before it makes the others.
            let isOwner = images.tasks.indices.contains(index) && !sharing.memory.contains(index)
            let task = isOwner ? images.tasks[index] : nil
            let vmas =
                task?.memory?.vmas.filter { vma in
                    vma.kind.isDisjoint(with: .kernels)
                        && !segmentsOfAll.contains { $0.start < vma.end && $0.end > vma.start }
                } ?? []
            let segments = try? task.flatMap { $0.memory == nil ? nil : try self.segments(of: $0) }
            members.append(.init(maker: planned.maker.map(memoryOwner), vmas: vmas, segments: segments ?? []))
        }
        inheritance = Inheritance(members)
    }

    /// Maps and reads what the descendants of a task are to inherit, before any of them is made.
    mutating func composeInheritance(_ index: Int, in batch: inout Batch) {
        guard let added = inheritance?.added[index] else { return }
        let task = images.tasks.indices.contains(index) ? images.tasks[index] : images.tasks[0]
        for mapped in added.maps { _ = map(mapped.vma, writable: true, of: task, in: &batch) }
        let placed = composeInheritedPolicies(added.maps.map(\.range), of: index, in: &batch)
        for content in added.reads {
            read(content.segment, from: content.range.lowerBound, to: content.range.upperBound, in: &batch)
        }
        dropPolicies(placed, in: &batch)
    }

    /// Has the children of a root that was made before inherit of its memory what they or theirs need, and nothing else:
    /// the kernel would copy page tables for it.
    ///
    /// - Parameter child: which is about to be made, or has been made; nil at the beginning.
    func shareEarlyMemory(_ index: Int, with child: Int?, _ isToBeMade: Bool, in batch: inout Batch) {
        // What is for somebody below has come this far.
        for one in earlyMemory where one.line.contains(index) && child.map(one.line.contains) ?? true {
            say(one.ranges, areInherited: isToBeMade, in: &batch)
        }
    }

    private func say(_ ranges: [Range<UInt64>], areInherited: Bool, in batch: inout Batch) {
        let (notInherited, inherited) = (10, 11)  // MADV_DONTFORK, MADV_DOFORK
        for range in ranges {
            batch.call(
                Int(SYS_madvise), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                .int(areInherited ? inherited : notInherited), for: "say whether children inherit memory")
        }
    }

    /// Finds out through whom each process comes to the memory that is in the root for it.
    mutating func findEarlyMemory() {
        guard let early = host.early, family.processes.count > 1 else { return }
        earlyMemory = images.tasks.indices.compactMap { index in
            guard let memory = early.memory[images.tasks[index].pid] else { return nil }
            return (makers(of: index), memory.mapped.map(\.range))
        }
    }

    /// A task, who makes it, and so on.
    private func makers(of index: Int) -> Set<Int> {
        var line: Set<Int> = [index]
        var next = family.processes[index].maker
        while let maker = next, line.insert(maker).inserted { next = family.processes[maker].maker }
        return line
    }

    /// What a task has when it comes to its own memory; what is not its own of that goes.
    func takeInherited(_ task: TaskImages, _ vmas: [VmaEntry], in batch: inout Batch) -> InheritedMemory {
        let inherited: InheritedMemory
        if let early = host.early {
            for range in early.strange(to: task.pid) {
                batch.call(
                    Int(SYS_munmap), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                    for: "unmap the memory of others")
            }
            guard let own = early.memory[task.pid] else { return .nothing }
            inherited = InheritedMemory(mapped: own.mapped, content: own.content, vmas: vmas)
        } else if let inheritance, let index = images.tasks.firstIndex(where: { $0.pid == task.pid }) {
            inherited = InheritedMemory(
                mapped: inheritance.mapped[index], content: inheritance.content[index], vmas: vmas)
        } else {
            return .nothing
        }
        for range in inherited.unwanted {
            batch.call(
                Int(SYS_munmap), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                for: "unmap what others inherit")
        }
        if !earlyMemory.isEmpty { say(inherited.ranges, areInherited: true, in: &batch) }
        return inherited
    }

    /// Drops inherited pages where the task has none of its own.
    func drop(_ surplus: [Range<UInt64>], in batch: inout Batch) {
        let notNeeded = 4  // MADV_DONTNEED
        for range in surplus {
            batch.call(
                Int(SYS_madvise), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                .int(notNeeded), for: "drop inherited pages")
        }
    }
}
