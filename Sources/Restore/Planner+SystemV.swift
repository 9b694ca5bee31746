internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import Tracing

/// System V shared memory: made by Apus, attached by each task where it had it attached.
///
/// A segment is attached whole. What the program has unmapped of it goes again, before anything else is mapped there.
extension Planner {
    /// Mappings that are left of one attachment.
    private struct Attachment {
        var segment: UInt64
        var range: Range<UInt64>
        var parts: [VmaEntry]
        /// Whether, attached whole, it lies where parts of the other are.
        func covers(_ other: Attachment) -> Bool {
            other.parts.contains { $0.start < range.upperBound && $0.end > range.lowerBound }
        }
        /// SHM_RDONLY: not even mprotect(2) can make it writable.
        var isReadOnly: Bool {
            parts.allSatisfy { part in
                part.hasFdflags ? part.fdflags & UInt32(O_ACCMODE) == 0 : part.prot & UInt32(PROT_WRITE) == 0
            }
        }
    }

    /// Has Apus make the segments, in a namespace of the tree's own if it had one.
    mutating func openSegments() {
        let own = images.ownIPCNamespace
        let isIn = Set(
            images.segments.map(\.namespace) + images.semaphores.map(\.namespace)
                + images.messageQueues.map(\.namespace)
                + images.ipcSettings.keys)
        if let own, isIn.contains(own) {
            plan.openings.append(
                .init(descriptor: takeDescriptor(), resource: IPCNamespace(images.ipcSettings[own]), owner: nil))
        }
        for segment in images.segments where own == nil || segment.namespace == own {
            do throws(Problem) {
                let resource = SystemVSegment(
                    segment.entry, content: try content(of: segment), ownNamespace: own != nil)
                plan.openings.append(.init(descriptor: takeDescriptor(), resource: resource, owner: nil))
            } catch {
                problems.append(error)
            }
        }
        openSemaphores(own)
        openQueues(own)
    }

    private func content(of segment: SegmentImage) throws(Problem) -> SystemVSegment.Content {
        if segment.entry.inPagemaps {
            let segments = try layers.segments(.shmemPagemap, id: UInt64(segment.entry.desc.id))
            return .pages(StoredMemory(segments: segments, layers: layers))
        }
        let name = ImageKind.ipcSharedMemory.layout.fileName(id: UInt64(segment.namespace))
        guard let directory = layers.directories.first, let file = try directory.file(named: name) else {
            throw Problem(.imageUnsuitable, "\(name) is missing", remedy: "Copy the images again, all of them")
        }
        let start = segment.payload.lowerBound
        return .image(file, start..<min(segment.payload.upperBound, start + segment.entry.size))
    }

    mutating func attachSegments(_ vmas: [VmaEntry], of task: TaskImages, in batch: inout Batch) {
        var waiting = Planner.attachments(vmas, images)
        // What lies in a hole of another comes after that.
        while !waiting.isEmpty {
            let free = waiting.firstIndex { one in
                !waiting.contains { $0.range != one.range && $0.covers(one) }
            }
            let attachment = waiting.remove(at: free ?? 0)
            guard isSound(attachment, among: waiting, task) else { continue }
            let (start, end) = (attachment.range.lowerBound, attachment.range.upperBound)
            let readOnly: UInt64 = attachment.isReadOnly ? 0o10000 : 0
            batch.call(
                Int(SYS_shmat), .value(attachment.segment), .value(start), .value(readOnly),
                expecting: Int64(start)...Int64(start),
                for: "attach System V shared memory \(attachment.segment) at \(String(start, radix: 16))")
            var position = start
            for part in attachment.parts {
                unmap(position..<part.start, in: &batch)
                position = part.end
                let usual = UInt32(attachment.isReadOnly ? PROT_READ : PROT_READ | PROT_WRITE)
                if part.prot == usual { continue }
                batch.call(
                    Int(SYS_mprotect), .value(part.start), .value(part.end - part.start), .value(UInt64(part.prot)),
                    for: "protect \(range(part))")
            }
            unmap(position..<end, in: &batch)
        }
    }

    private func unmap(_ range: Range<UInt64>, in batch: inout Batch) {
        if range.isEmpty { return }
        batch.call(
            Int(SYS_munmap), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
            for: "unmap what it had unmapped of a segment")
    }

    /// Whether there is such a segment, and it can be attached before those that wait.
    private mutating func isSound(
        _ attachment: Attachment, among waiting: [Attachment], _ task: TaskImages
    ) -> Bool {
        let own = images.ownIPCNamespace
        let isThere = images.segments.contains {
            UInt64($0.entry.desc.id) == attachment.segment && (own == nil || $0.namespace == own)
        }
        let inTheWay = waiting.contains { $0.range != attachment.range && $0.covers(attachment) }
        if isThere && !inTheWay && attachment.parts.allSatisfy({ $0.end <= attachment.range.upperBound }) {
            return true
        }
        problems.append(
            Problem(
                isThere ? .objectUnsupported : .imageUnsuitable,
                isThere
                    ? "attachments of System V shared memory lie within each other"
                    : "the images hold no System V shared memory \(attachment.segment), which it has attached",
                object: .init(
                    pid: task.pid, process: task.task.commText, address: attachment.range.lowerBound),
                remedy: isThere
                    ? "Have the program detach one (shmdt) before the dump" : "Copy the images again, all of them"))
        return false
    }

    private static func attachments(_ vmas: [VmaEntry], _ images: CheckpointImages) -> [Attachment] {
        var found: [Attachment] = []
        for vma in vmas where vma.kind.contains(.systemV) {
            let base = vma.start >= vma.pgoff ? vma.start - vma.pgoff : 0
            if let index = found.firstIndex(where: { $0.segment == vma.shmid && $0.range.lowerBound == base }) {
                found[index].parts.append(vma)
                continue
            }
            let size = images.segments.first { UInt64($0.entry.desc.id) == vma.shmid }?.entry.size ?? 0
            let whole = (min(size, 1 << 46) + 4095) & ~4095
            found.append(Attachment(segment: vma.shmid, range: base..<(base &+ max(whole, 4096)), parts: [vma]))
        }
        return found
    }

    /// Where segments are for a moment, beside what is left of them.
    static func segmentExtents(_ images: CheckpointImages) -> [VmaEntry] {
        images.tasks.compactMap(\.memory).flatMap { memory in
            attachments(memory.vmas, images).map { attachment in
                var entry = VmaEntry()
                entry.start = attachment.range.lowerBound
                entry.end = attachment.range.upperBound
                return entry
            }
        }
    }
}
