internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// 32-bit programs. Their tasks are rebuilt in 64-bit mode like all others; what only calls of 32-bit programs reach is
/// set by such calls, and their threads leave by the frame of a 32-bit signal handler.
extension Planner {
    /// Numbers of i386 (asm/unistd_32.h).
    private static let (signalAction, setThreadArea, setRobustList): (Int, Int, Int) = (174, 243, 311)
    /// Apus' own area lies below: calls of 32-bit programs reach no memory above 4 GiB.
    private static let compatEnd: UInt64 = 0xf000_0000
    /// The end of what a 32-bit program can map (IA32_PAGE_OFFSET of asm/page_64_types.h).
    private static let compatUserSpaceEnd: UInt64 = 0xffff_e000

    /// Whether a task is a 32-bit program, by the first of its threads that lives: asked for every thread of thousands.
    func isCompat(_ task: TaskImages) -> Bool {
        guard let thread = task.threads.dropFirst(task.hasLostLeader ? 1 : 0).first else { return false }
        return thread.core.threadInfo.gpregs.mode == .compat
    }

    /// Threads in a mode that is not that of their program, and 32-bit programs where there are none.
    mutating func refuseForeignPrograms() {
        for task in images.tasks where task.state != .dead {
            let object = Problem.Object(pid: task.pid, process: task.task.commText)
            let isCompat = isCompat(task)
            // A first thread that has ended has no registers.
            let isOdd = task.threads.dropFirst(task.hasLostLeader ? 1 : 0).contains { thread in
                let registers = thread.core.threadInfo.gpregs
                return (registers.mode == .compat) != isCompat || registers.cs != (isCompat ? 0x23 : 0x33)
            }
            if isOdd {
                problems.append(
                    Problem(
                        .foreignArchitecture, "it has threads in a mode that is not that of its program",
                        object: object, remedy: "Restore these images with CRIU"))
            } else if isCompat && host.compatVdso == nil {
                problems.append(
                    Problem(
                        .foreignArchitecture, "it is a 32-bit program, and this kernel does not run these",
                        object: object,
                        remedy: "Restore it on a kernel with CONFIG_IA32_EMULATION, booted without ia32_emulation=0"))
            } else if isCompat && (plan.area.base + room).raw > Self.compatEnd {
                problems.append(
                    Problem(
                        .imageUnsuitable,
                        "it is a 32-bit program, and the tasks leave no address space free below 4 GiB",
                        object: object, remedy: "Report this with the output of `apus show`"))
            }
        }
    }

    // MARK: The vdso

    /// The kernel makes the 32-bit vdso where it is asked to.
    mutating func compatVdsoPlan(_ memory: MmEntry, of task: TaskImages) throws(Problem) -> VdsoPlan {
        guard let new = host.compatVdso else { throw differs(task, "and this one has none for 32-bit programs") }
        let vvars = memory.vmas.filter { $0.kind.contains(.vvar) }
        guard let old = memory.vmas.first(where: { $0.kind.contains(.vdso) }) else {
            return .compat(vdso: try elsewhere(memory, of: task, below: Self.compatUserSpaceEnd), nil)
        }
        guard let bytes = storedVdso(old, of: task) else { throw differs(task, "and the images do not hold it") }
        let own = Husk.vdsoLength(new)
        if let vvar = vvars.first, vvars.reduce(0, { $0 + ($1.end - $1.start) }) == host.vvar.reduce(0, +),
            old.start &- vvar.start == host.vdsoOffset, bytes.count == new.count, bytes.prefix(own) == new.prefix(own)
        {
            return .compat(vdso: old.start, nil)
        }
        let place = try elsewhere(memory, of: task, below: Self.compatUserSpaceEnd)
        let proxy = try proxy(of: task, at: old.start) { () throws(VdsoProxy.Refusal) in
            try VdsoProxy(compat: bytes, at: old.start, new: new, at: place)
        }
        return .compat(vdso: place, proxy)
    }

    /// Where in the end of the 32-bit vdso the way out stands.
    private var compatExitOffset: Int? {
        guard let own = host.compatVdso else { return nil }
        let offset = Husk.vdsoLength(own)
        return offset + Husk.compatExit.bytes.count <= own.count ? offset : nil
    }

    func compatWayOut(_ vdso: UInt64) -> RemoteAddress? {
        compatExitOffset.map { RemoteAddress(vdso) + ($0 + Husk.compatExit.entry) }
    }

    /// Exchanges the parked vdso for the 32-bit one, and puts the way out into its unused end.
    func placeCompatVdso(_ vdso: UInt64, of task: TaskImages, in batch: inout Batch) {
        guard let own = host.compatVdso, let offset = compatExitOffset else { return }
        let (mapCompatVdso, length) = (0x2002, Int64(own.count))  // ARCH_MAP_VDSO_32 of arch_prctl(2)
        batch.call(
            Int(SYS_munmap), .address(plan.area.parking), .int(RestorePlan.Area.prelude - 0x1000),
            for: "make room for the 32-bit vdso")
        batch.call(
            Int(SYS_arch_prctl), .int(mapCompatVdso), .value(vdso - host.vdsoOffset), expecting: length...length,
            for: "map the 32-bit vdso")
        // Not by making it writable for a moment: a mapping that could be written to once is accounted for ever.
        let path = batch.string(Array("/proc/self/mem".utf8))
        let exit = batch.buffer(Husk.compatExit.bytes)
        let file = batch.call(
            Int(SYS_openat), .signed(AT_FDCWD), .address(path), .int(Int(O_RDWR | O_CLOEXEC)), 0,
            for: "open its own memory")
        batch.call(
            Int(SYS_pwrite64), .result(file), .address(exit), .int(exit.count), .value(vdso + UInt64(offset)),
            expecting: Int64(exit.count)...Int64(exit.count), for: "put the way out into the 32-bit vdso")
        batch.call(Int(SYS_close), .result(file))
    }

    private func write(
        _ bytes: [UInt8], at address: RemoteAddress, of tid: Int32, in batch: inout Batch, for purpose: String = ""
    ) {
        let source = batch.buffer(bytes, alignment: 64)
        let vectors = batch.space(32)
        batch.store(addressOf: source, in: vectors)
        batch.store(bytes.count, in: vectors, at: 8)
        batch.store(Int(address.raw), in: vectors, at: 16)
        batch.store(bytes.count, in: vectors, at: 24)
        batch.call(
            Int(SYS_process_vm_writev), .signed(tid), .address(vectors.part(0, 16)), 1,
            .address(vectors.part(16, 16)), 1, 0, expecting: Int64(bytes.count)...Int64(bytes.count),
            for: "prepare the way out")
    }

    // MARK: Threads

    /// The segments of thread-local storage, and the list of robust futexes.
    func composeCompatThread(_ core: CoreEntry, in batch: inout Batch) {
        for segment in core.threadInfo.tls where !(segment.readExecOnly && segment.segNotPresent) {
            let description = batch.buffer(CompatThread.description(segment))
            batch.call(
                Self.setThreadArea, .address(description), for: "set segment \(segment.entryNumber) of its storage")
            batch.makeLastCompat()
        }
        guard core.threadCore.futexRla != 0 else { return }
        batch.call(
            Self.setRobustList, .value(core.threadCore.futexRla), .value(UInt64(core.threadCore.futexRlaLen)),
            for: "set the list of robust futexes")
        batch.makeLastCompat()
    }

    /// The handler of one signal: set by a call of this kind it gets a frame of this kind.
    func composeCompatAction(_ number: Int, _ entry: SaEntry, in batch: inout Batch) {
        var bytes: [UInt8] = []
        for value in [entry.sigaction, entry.flags, entry.restorer] {
            bytes.append(littleEndian: UInt32(truncatingIfNeeded: value))
        }
        bytes.append(littleEndian: entry.mask)
        let action = batch.buffer(bytes)
        batch.call(
            Self.signalAction, .int(number), .address(action), 0, 8, for: "set the handler of signal \(number)")
        batch.makeLastCompat()
    }

    /// The way out of one thread.
    mutating func composeCompatFrame(_ index: Int, _ number: Int, top: UInt64, area: [UInt8], in batch: inout Batch) {
        let task = images.tasks[index]
        let thread = task.threads[number]
        let core = thread.core.threadCore
        let frame = CompatSignalFrame(
            below: RemoteAddress(top), registers: Self.compatRegisters(thread.core.threadInfo.gpregs),
            signalMask: core.hasBlkSigset ? core.blkSigset : task.task.blkSigset, extendedState: area,
            features: host.extendedState.features)
        guard makeRoom(for: frame.address.raw..<top, index, number, in: &batch) else { return }
        write(frame.bytes, at: frame.address, of: thread.tid, in: &batch)
        plan.tasks[index].threads[number].frame = frame.stackPointer
        if let leave = ways[index].leave { plan.tasks[index].threads[number].leave = leave }
    }

    private static func compatRegisters(_ r: UserX86RegsEntry) -> CompatSignalFrame.Registers {
        func low(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
        var registers = CompatSignalFrame.Registers()
        (registers.edi, registers.esi, registers.ebp, registers.esp) = (low(r.di), low(r.si), low(r.bp), low(r.sp))
        (registers.ebx, registers.edx, registers.ecx, registers.eax) = (low(r.bx), low(r.dx), low(r.cx), low(r.ax))
        (registers.eip, registers.flags) = (low(r.ip), low(r.flags))
        registers.cs = UInt16(truncatingIfNeeded: r.cs)
        registers.ss = UInt16(truncatingIfNeeded: r.ss)
        registers.ds = UInt16(truncatingIfNeeded: r.ds)
        registers.es = UInt16(truncatingIfNeeded: r.es)
        registers.fs = UInt16(truncatingIfNeeded: r.fs)
        registers.gs = UInt16(truncatingIfNeeded: r.gs)
        return registers
    }
}
