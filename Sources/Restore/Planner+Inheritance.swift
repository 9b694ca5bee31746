internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Tracing

/// Memory that tasks share by copy-on-write.
extension Planner {
    /// The stored pages of a task.
    mutating func segments(of task: TaskImages) throws(Problem) -> [PageLayers.Segment] {
        if let known = segmentsByPid[task.pid] { return known }
        let segments = try layers.segments(id: UInt64(UInt32(bitPattern: task.pid)))
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

    /// What a task has when it comes to its own memory; what is not its own of that goes.
    func takeInherited(_ task: TaskImages, _ vmas: [VmaEntry], in batch: inout Batch) -> InheritedMemory {
        guard let inheritance, let index = images.tasks.firstIndex(where: { $0.pid == task.pid }) else {
            return .nothing
        }
        let inherited = InheritedMemory(
            mapped: inheritance.mapped[index], content: inheritance.content[index], vmas: vmas)
        for range in inherited.unwanted {
            batch.call(
                Int(SYS_munmap), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                for: "unmap what others inherit")
        }
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
