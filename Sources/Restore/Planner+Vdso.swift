internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The kernel's own mappings: vvar and vdso.
extension Planner {
    /// Moves vvar and vdso from where they are parked to where the program knows them.
    mutating func placeVdso(_ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
        let vvars = memory.vmas.filter { $0.kind.contains(.vvar) }
        let total = host.vvar.reduce(0, +)
        guard let vdso = memory.vmas.first(where: { $0.kind.contains(.vdso) }),
            let vvar = vvars.first, vvars.reduce(0, { $0 + ($1.end - $1.start) }) == total,
            vdso.end - vdso.start == UInt64(host.vdso.count), vdso.start &- vvar.start == host.vdsoOffset,
            hasSameVdso(vdso, of: task)
        else {
            return problems.append(
                Problem(
                    .vdsoDiffers, "it was dumped on a kernel whose vdso is another",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on a host with the same kernel; `uname -r` of both must agree"))
        }
        var offset: UInt64 = 0
        for length in host.vvar {
            move(from: plan.area.parking.raw + offset, to: vvar.start + offset, length, in: &batch)
            offset += length
        }
        move(from: plan.area.parking.raw + host.vdsoOffset, to: vdso.start, UInt64(host.vdso.count), in: &batch)
    }

    func move(from: UInt64, to: UInt64, _ length: UInt64, in batch: inout Batch) {
        let moveToFixed: UInt64 = 3  // MREMAP_MAYMOVE | MREMAP_FIXED
        batch.call(
            Int(SYS_mremap), .value(from), .value(length), .value(length), .value(moveToFixed), .value(to),
            expecting: Int64(to)...Int64(to), for: "put vdso or vvar at \(String(to, radix: 16))")
    }

    /// Whether the vdso in the images, where they hold its pages, is this kernel's.
    func hasSameVdso(_ vma: VmaEntry, of task: TaskImages) -> Bool {
        guard let segments = try? layers.segments(id: UInt64(task.pid)) else { return false }
        let own = Husk.vdsoLength(host.vdso)
        for segment in segments where segment.address < vma.end {
            let end = segment.address + segment.pages * Pagemap.pageSize
            let (start, stop) = (max(segment.address, vma.start), min(end, vma.end, vma.start + UInt64(own)))
            guard start < stop else { continue }
            let file = PagesFile(directory: layers.directories[segment.layer], id: segment.pagesID)
            let offset = Int(start - vma.start)
            guard
                let bytes = file.bytes(
                    at: segment.fileOffset + (start - segment.address), count: stop - start),
                bytes == Array(host.vdso[offset..<offset + bytes.count])
            else { return false }
        }
        return true
    }
}

extension Problem.Code {
    static let vdsoDiffers: Self = "vdso-differs"
}
