internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// Making contexts of asynchronous I/O anew (io_setup(2)), each with its name, which is the address of its ring.
extension Planner {
    /// MREMAP_MAYMOVE and MREMAP_FIXED.
    private static let moveTo: UInt64 = 1 | 2
    /// How many requests are made in one call.
    private static let atOnce = 256

    /// What keeps the place of a ring free until everything else is mapped, and the kernel can put a new ring nowhere
    /// where it would be in the way.
    func reserveRing(_ vma: VmaEntry, in batch: inout Batch) {
        let (anonymous, noReserve, noReplace) = (UInt64(MAP_PRIVATE | MAP_ANONYMOUS), 0x4000 as UInt64, Self.noReplace)
        batch.call(
            Int(SYS_mmap), .value(vma.start), .value(vma.end - vma.start), .int(Int(PROT_NONE)),
            .value(anonymous | noReserve | UInt64(noReplace)), -1, 0,
            expecting: Int64(vma.start)...Int64(vma.start), for: "keep the place of a ring of asynchronous I/O")
    }

    /// Makes all rings, when everything else is mapped.
    mutating func composeRings(
        _ vmas: [VmaEntry], _ segments: [PageLayers.Segment], of task: TaskImages, in batch: inout Batch
    ) {
        for vma in vmas where vma.kind.contains(.asyncIORing) {
            do throws(Problem) {
                try composeRing(vma, segments, of: task, in: &batch)
            } catch {
                problems.append(error)
            }
        }
    }

    private mutating func composeRing(
        _ vma: VmaEntry, _ segments: [PageLayers.Segment], of task: TaskImages, in batch: inout Batch
    ) throws(Problem) {
        let (size, place) = (vma.end - vma.start, String(vma.start, radix: 16))
        let object = Problem.Object(pid: task.pid, process: task.task.commText, address: vma.start)
        // They are in the images also where all other pages have come by another way.
        var images = layers
        images.locator = nil
        let reader = try PageReader(images, id: UInt64(task.pid))
        guard let bytes = try reader.bytes(at: vma.start, count: AsyncRing.headSize),
            let ring = AsyncRing(bytes, size: size), isStored(vma, segments)
        else {
            throw Problem(
                .imageUnsuitable, "the images hold a ring of asynchronous I/O that no kernel could have made",
                object: object, remedy: "Copy the images again, all of them")
        }
        guard let requests = AsyncRing.requests(forSize: size, processors: host.possibleProcessors) else {
            throw Problem(
                .objectUnsupported,
                "its ring of asynchronous I/O has \(size >> 10) KiB, and this kernel makes none so small: it has room for"
                    + " \(host.possibleProcessors) processors, and a ring for each of them",
                object: object,
                remedy: "Restore it on a host with fewer processors, or boot this one with possible_cpus=N")
        }
        plan.asyncRequests += requests
        let name = batch.space(8)
        batch.call(
            Int(SYS_io_setup), .value(requests), .address(name), for: "make the ring of asynchronous I/O at \(place)")
        batch.call(
            Int(SYS_mremap), .word(name), .value(size), .value(size), .value(Self.moveTo), .value(vma.start),
            expecting: Int64(vma.start)...Int64(vma.start), for: "move the ring of asynchronous I/O to \(place)")
        advance(ring, at: vma.start, in: &batch)
        // All but the head, in which the kernel has written its own number of the context.
        for segment in segments where segment.range.overlaps(vma.start..<vma.end) {
            let part = segment.range.clamped(to: vma.start + AsyncRing.headSize..<vma.end)
            if !part.isEmpty { read(segment, from: part.lowerBound, to: part.upperBound, in: &batch) }
        }
        if vma.prot != UInt32(PROT_READ | PROT_WRITE) {
            batch.call(
                Int(SYS_mprotect), .value(vma.start), .value(size), .value(UInt64(vma.prot)),
                for: "protect the ring at \(place)")
        }
    }

    private func isStored(_ vma: VmaEntry, _ segments: [PageLayers.Segment]) -> Bool {
        (vma.start..<vma.end).without(
            segments.filter { $0.range.overlaps(vma.start..<vma.end) }.map(\.range)
        ).isEmpty
    }

    /// Has the kernel fill and empty the ring until the oldest and the newest event stand where they stood. The kernel
    /// counts the places in use by finished requests alone; so as many are made as there have been since the first place,
    /// and those that were taken are taken.
    ///
    /// The request is a read of no bytes from the mailbox, a file in memory, which is over at once.
    private func advance(_ ring: AsyncRing, at start: UInt64, in batch: inout Batch) {
        if ring.head == 0 && ring.unread == 0 { return }
        // Some of the places are set aside for each processor: never all at once.
        let chunk = max(1, min(Self.atOnce, Int(ring.slots) / 4))
        var request = [UInt8](repeating: 0, count: 64)
        var file: [UInt8] = []
        file.append(littleEndian: plan.mailboxDescriptor)
        let descriptorPlace = 20
        request.replaceSubrange(descriptorPlace..<descriptorPlace + file.count, with: file)
        let block = batch.buffer(request)
        let pointers = batch.space(8 * chunk)
        for index in 0..<chunk { batch.store(addressOf: block, in: pointers, at: 8 * index) }
        let events = batch.space(Int(AsyncRing.eventSize) * chunk)
        let noTime = batch.space(16)
        let purpose = "bring the ring of asynchronous I/O to where it was"
        for (total, isTaken) in [(Int(ring.head), true), (Int(ring.unread), false)] {
            var left = total
            while left > 0 {
                let count = min(left, chunk)
                let all = Int64(count)...Int64(count)
                batch.call(
                    Int(SYS_io_submit), .value(start), .int(count), .address(pointers), expecting: all, for: purpose)
                if isTaken {
                    batch.call(
                        Int(SYS_io_getevents), .value(start), .int(count), .int(count), .address(events),
                        .address(noTime), expecting: all, for: purpose)
                }
                left -= count
            }
        }
    }
}

/// How many requests of asynchronous I/O all processes of the host may announce (`fs.aio-max-nr`, proc_sys_fs(5)).
enum AsyncRequests {
    /// What stands in the way on this host.
    static func problems(_ plan: RestorePlan) -> [Problem] {
        guard plan.asyncRequests > 0 else { return [] }
        guard let limit = number("aio-max-nr"), let used = number("aio-nr") else {
            return [
                Problem(
                    .objectUnsupported, "its rings of asynchronous I/O need a kernel that has that (CONFIG_AIO)",
                    object: .init(pid: plan.tasks.first?.pid), remedy: "Restore it on another host")
            ]
        }
        if used &+ plan.asyncRequests <= limit { return [] }
        return [
            Problem(
                .rightsMissing,
                "its rings of asynchronous I/O are for \(plan.asyncRequests) requests, and of the \(limit) that this host"
                    + " allows \(used) are in use",
                object: .init(pid: plan.tasks.first?.pid),
                remedy: "Allow more: sysctl fs.aio-max-nr=\(used &+ plan.asyncRequests)")
        ]
    }

    private static func number(_ name: FilePath.Component) -> UInt64? {
        guard let bytes = try? Files.contents(of: FilePath("/proc/sys/fs").appending(name)) else { return nil }
        return UInt64(String(decoding: bytes.prefix { $0 >= 0x30 }, as: UTF8.self))
    }
}
