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
    /// Where the kernel's own mappings go, and what the program finds where it knew those of its old kernel.
    enum VdsoPlan {
        /// To where they were: it is the same vdso.
        case same(vvar: UInt64, vdso: UInt64)
        /// That of 32-bit programs: to where it was, or elsewhere with the old one leading to it.
        case compat(vdso: UInt64, VdsoProxy?)
        /// Elsewhere: the old one stays as ordinary memory that leads to the new one.
        case proxied(vdso: UInt64, VdsoProxy)
        /// Elsewhere, and the program knows of none.
        case unknown(vdso: UInt64)

        /// Where this kernel's vdso will be.
        var address: UInt64 {
            switch self {
            case .same(vvar: _, let vdso), .compat(let vdso, _), .proxied(let vdso, _), .unknown(let vdso): vdso
            }
        }
    }

    /// Decides for all tasks, before anything else of them is planned.
    mutating func planVdsos() {
        for task in images.tasks where task.state != .dead {
            guard let memory = task.memory else { continue }
            do throws(Problem) {
                vdsos[task.pid] = try vdsoPlan(memory, of: task)
            } catch {
                problems.append(error)
            }
        }
    }

    /// The code by which the threads of a task leave: in the end of this kernel's vdso.
    func wayOut(of task: TaskImages) -> RemoteAddress? {
        guard let planned = vdsos[task.pid] else { return nil }
        if case .compat(let vdso, _) = planned { return compatWayOut(vdso) }
        guard let offset = Husk.exitOffset(inVdso: host.vdso) else { return nil }
        return RemoteAddress(planned.address) + (offset + Husk.exit.entry)
    }

    private mutating func vdsoPlan(_ memory: MmEntry, of task: TaskImages) throws(Problem) -> VdsoPlan {
        if isCompat(task) { return try compatVdsoPlan(memory, of: task) }
        let vvars = memory.vmas.filter { $0.kind.contains(.vvar) }
        guard let old = memory.vmas.first(where: { $0.kind.contains(.vdso) }) else {
            return .unknown(vdso: try elsewhere(memory, of: task))
        }
        let bytes = storedVdso(old, of: task)
        let own = Husk.vdsoLength(host.vdso)
        if let vvar = vvars.first, vvars.reduce(0, { $0 + ($1.end - $1.start) }) == host.vvar.reduce(0, +),
            old.end - old.start == UInt64(host.vdso.count), old.start &- vvar.start == host.vdsoOffset,
            bytes.map({ $0.prefix(own) == host.vdso.prefix(own) }) ?? true
        {
            return .same(vvar: vvar.start, vdso: old.start)
        }
        guard let bytes else { throw differs(task, "and the images do not hold it") }
        let place = try elsewhere(memory, of: task)
        let new = host.vdso
        return .proxied(
            vdso: place,
            try proxy(of: task, at: old.start) { () throws(VdsoProxy.Refusal) in
                try VdsoProxy(old: bytes, new: new, at: place)
            })
    }

    /// Makes a proxy, unless a thread stands where it would be harmed by it.
    func proxy(
        of task: TaskImages, at start: UInt64, _ make: () throws(VdsoProxy.Refusal) -> VdsoProxy
    ) throws(Problem) -> VdsoProxy {
        let proxy: VdsoProxy
        do throws(VdsoProxy.Refusal) { proxy = try make() } catch {
            let why =
                switch error {
                case .unreadable: "and cannot be made sense of"
                case .unknown(let name): "and has a function that this kernel knows nothing of, \(name)"
                case .noRoom: "and has no room for a way to this kernel's"
                }
            throw differs(task, why)
        }
        for thread in task.threads {
            let at = thread.core.threadInfo.gpregs.ip &- start
            if proxy.breaks(at) { throw differs(task, "and thread \(thread.tid) was about to call it") }
        }
        return proxy
    }

    func differs(_ task: TaskImages, _ why: String) -> Problem {
        Problem(
            .vdsoDiffers, "it was dumped on a kernel whose vdso is another, \(why)",
            object: .init(pid: task.pid, process: task.task.commText),
            remedy: "Restore it on a host with the same kernel (`uname -r` of both), or dump it again")
    }

    /// A place for this kernel's mappings that the program does not use; where the vdso lies in it.
    func elsewhere(
        _ memory: MmEntry, of task: TaskImages, below end: UInt64 = AddressHole.userSpaceEnd
    ) throws(Problem) -> UInt64 {
        let size = host.vdsoOffset + UInt64(max(host.vdso.count, host.compatVdso?.count ?? 0))
        let apus = plan.area.base.raw..<plan.area.base.raw + UInt64(room)
        guard let hole = AddressHole.high(of: size, outside: memory.vmas, and: apus, below: end) else {
            throw differs(task, "and there is no room for this kernel's")
        }
        return hole.raw + host.vdsoOffset
    }

    /// The pages of a vdso in the images; nil where one is missing.
    mutating func storedVdso(_ vma: VmaEntry, of task: TaskImages) -> [UInt8]? {
        guard vma.end - vma.start <= Self.largestVdso,
            let segments = try? self.segments(of: task)
        else { return nil }
        var bytes: [UInt8] = []
        for segment in segments.sorted(by: { $0.address < $1.address }) {
            let end = segment.address + segment.pages * Pagemap.pageSize
            let (start, stop) = (max(segment.address, vma.start), min(end, vma.end))
            guard start < stop else { continue }
            let file = PagesFile(segment, of: layers)
            guard start - vma.start == UInt64(bytes.count),
                let piece = file.bytes(at: segment.fileOffset + (start - segment.address), count: stop - start)
            else { return nil }
            bytes += piece
        }
        return UInt64(bytes.count) == vma.end - vma.start ? bytes : nil
    }

    /// Those of the kernel have two or three pages.
    private static let largestVdso: UInt64 = 0x10000

    // MARK: Carrying it out

    /// Moves vvar and vdso from where they are parked to where they belong.
    mutating func placeVdso(_ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
        // Without one the reason has been told.
        guard let planned = vdsos[task.pid] else { return }
        if case .compat(let vdso, let proxy) = planned {
            placeCompatVdso(vdso, of: task, in: &batch)
            if let proxy { place(proxy, memory, of: task, in: &batch) }
            return
        }
        var (source, target) = (plan.area.parking.raw, planned.address - host.vdsoOffset)
        if case .same(let vvar, vdso: _) = planned { target = vvar }
        for length in host.vvar {
            move(from: source, to: target, length, in: &batch)
            (source, target) = (source + length, target + length)
        }
        move(
            from: plan.area.parking.raw + host.vdsoOffset, to: planned.address, UInt64(host.vdso.count), in: &batch)
        if case .proxied(vdso: _, let proxy) = planned { place(proxy, memory, of: task, in: &batch) }
    }

    private func move(from: UInt64, to: UInt64, _ length: UInt64, in batch: inout Batch) {
        let moveToFixed: UInt64 = 3  // MREMAP_MAYMOVE | MREMAP_FIXED
        batch.call(
            Int(SYS_mremap), .value(from), .value(length), .value(length), .value(moveToFixed), .value(to),
            expecting: Int64(to)...Int64(to), for: "put vdso or vvar at \(String(to, radix: 16))")
    }

    /// Puts the old vdso back as ordinary memory, with its functions leading to the new one, and zeros for its data.
    private mutating func place(_ proxy: VdsoProxy, _ memory: MmEntry, of task: TaskImages, in batch: inout Batch) {
        for vma in memory.vmas where vma.kind.contains(.vvar) {
            map(vma, PROT_READ, "put zeros in place of the old vvar", in: &batch)
        }
        guard let old = memory.vmas.first(where: { $0.kind.contains(.vdso) }) else { return }
        map(old, PROT_READ | PROT_WRITE, "make room for the old vdso", in: &batch)
        for segment in (try? self.segments(of: task)) ?? [] {
            let end = segment.address + segment.pages * Pagemap.pageSize
            let (start, stop) = (max(segment.address, old.start), min(end, old.end))
            if start < stop { read(segment, from: start, to: stop, in: &batch) }
        }
        let count = proxy.patches.reduce(0) { $0 + $1.bytes.count }
        let bytes = batch.buffer(proxy.patches.flatMap(\.bytes))
        // One iovec for the source, one for each piece of the target.
        let vectors = batch.space(16 * (1 + proxy.patches.count))
        batch.store(addressOf: bytes, in: vectors)
        batch.store(count, in: vectors, at: 8)
        for (index, patch) in proxy.patches.enumerated() {
            batch.store(Int(old.start) + patch.offset, in: vectors, at: 16 * (index + 1))
            batch.store(patch.bytes.count, in: vectors, at: 16 * (index + 1) + 8)
        }
        batch.call(
            Int(SYS_process_vm_writev), .signed(task.pid), .address(vectors.part(0, 16)), 1,
            .address(vectors.part(16, vectors.count - 16)), .int(proxy.patches.count), 0,
            expecting: Int64(count)...Int64(count), for: "lead the old vdso's functions to the new one")
        batch.call(
            Int(SYS_mprotect), .value(old.start), .value(old.end - old.start), .int(Int(PROT_READ | PROT_EXEC)),
            for: "protect the old vdso")
    }

    private func map(_ vma: VmaEntry, _ protection: Int32, _ purpose: String, in batch: inout Batch) {
        let fixedNoReplace: Int32 = 0x100000
        batch.call(
            Int(SYS_mmap), .value(vma.start), .value(vma.end - vma.start), .int(Int(protection)),
            .int(Int(MAP_PRIVATE | MAP_ANONYMOUS | fixedNoReplace)), -1, 0,
            expecting: Int64(vma.start)...Int64(vma.start), for: purpose)
    }
}

extension Problem.Code {
    static let vdsoDiffers: Self = "vdso-differs"
}
