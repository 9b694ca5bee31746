internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import Tracing

/// What a thread is.
extension Planner {
    /// Adds the making of all threads but the leader. A new thread finds everything else in its place.
    mutating func composeThreads(_ index: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        for number in task.threads.indices.dropFirst() {
            var own = Batch()
            composeThread(index, number, in: &own)
            queue(task.threads[number], in: &own, pid: task.pid)
            plan.tasks[index].threads[number].batch = placed(own)
            let tid = task.threads[number].tid
            // CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_SYSVSEM
            addClone(
                of: tid, flags: 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000, exitSignal: 0,
                control: address(plan.tasks[index].threads[number].controlPlace), purpose: "make thread \(tid)",
                in: &batch)
        }
    }

    mutating func composeThread(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let thread = task.threads[number]
        let core = thread.core.threadCore
        let info = thread.core.threadInfo
        composeSeccomp(index, number, in: &batch)
        let (setFS, setGS) = (0x1002, 0x1001)  // ARCH_SET_FS, ARCH_SET_GS
        batch.call(Int(SYS_arch_prctl), .int(setFS), .value(info.gpregs.fsBase), for: "set the FS base")
        batch.call(Int(SYS_arch_prctl), .int(setGS), .value(info.gpregs.gsBase), for: "set the GS base")
        batch.call(Int(SYS_set_tid_address), .value(info.clearTidAddr_p), for: "set the thread's clear_child_tid")
        if core.futexRla != 0 {
            batch.call(
                Int(SYS_set_robust_list), .value(core.futexRla), .value(UInt64(core.futexRlaLen)),
                for: "set the list of robust futexes")
        }
        if core.hasRseqEntry, core.rseqEntry.rseqAbiPointer != 0 {
            batch.call(
                Int(SYS_rseq), .value(core.rseqEntry.rseqAbiPointer), .value(UInt64(core.rseqEntry.rseqAbiSize)), 0,
                .value(UInt64(core.rseqEntry.signature)), for: "register restartable sequences")
        }
        if number > 0, core.hasComm, !core.commBytes.isEmpty {
            let name = batch.string(core.commBytes)
            batch.call(Int(SYS_prctl), 15, .address(name), for: "name thread \(thread.tid)")
        }
        composeScheduling(core, in: &batch)
        composeAlternateStack(core, in: &batch)
        if core.hasCreds { composeCredentials(core.creds, of: task, in: &batch) }
        // Every thread, behind its own change of user: the last one to change resets it for all.
        if let memory = task.memory, memory.hasDumpable, memory.dumpable != 2 {
            batch.call(Int(SYS_prctl), 4, .int(Int(memory.dumpable)), for: "set whether it may be dumped")
        }
        if core.pdeathSig != 0 {
            batch.call(Int(SYS_prctl), 1, .value(UInt64(core.pdeathSig)), for: "set its parent-death signal")
        }
        composeFrame(index, number, in: &batch)
    }

    /// Installs the filters first of all, while the thread may: they are suspended until it is released.
    private mutating func composeSeccomp(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let core = task.threads[number].core.threadCore
        guard core.hasSeccompMode, core.seccompMode != .disabled else { return }
        if task.threads.count > 1 {
            return problems.append(
                Problem(
                    .objectUnsupported, "it has several threads under seccomp, which Apus cannot restore yet",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore these images with CRIU"))
        }
        plan.tasks[index].isUnderSeccomp = true
        if core.seccompMode == .strict {
            batch.call(Int(SYS_seccomp), 0, 0, 0, for: "enter strict seccomp mode")
            return
        }
        // From the newest to the oldest, each names the one before it.
        var chain: [SeccompFilter] = []
        var next: Int? = Int(core.seccompFilter)
        while let index = next {
            // A chain that is broken or turns in a circle would restore weaker filters than there were.
            guard images.seccompFilters.indices.contains(index), chain.count <= images.seccompFilters.count else {
                return problems.append(
                    Problem(
                        .imageUnsuitable, "its seccomp filters do not form a chain",
                        object: .init(pid: task.pid, process: task.task.commText), remedy: "Copy the images again"))
            }
            chain.append(images.seccompFilters[index])
            next = images.seccompFilters[index].hasPrev ? Int(images.seccompFilters[index].prev) : nil
        }
        for filter in chain.reversed() {
            let program = batch.buffer(filter.program)
            var description: [UInt8] = []
            description.append(littleEndian: UInt16(truncatingIfNeeded: filter.program.count / 8))
            description += [UInt8](repeating: 0, count: 14)
            let block = batch.buffer(description)
            batch.store(addressOf: program, in: block, at: 8)
            // SECCOMP_FILTER_FLAG_LOG and SPEC_ALLOW belong to the filter; the others to the moment.
            let flags = filter.hasFlags ? filter.flags & 6 : 0
            batch.call(Int(SYS_seccomp), 1, .value(UInt64(flags)), .address(block), for: "install a seccomp filter")
        }
    }

    private func composeScheduling(_ core: ThreadCoreEntry, in batch: inout Batch) {
        // Also what is the default: Apus itself may have been started with another.
        if core.hasSchedPolicy {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: core.schedPrio)
            let parameter = batch.buffer(bytes)
            batch.call(
                Int(SYS_sched_setscheduler), 0, .value(UInt64(core.schedPolicy)), .address(parameter),
                for: "set scheduling policy \(core.schedPolicy), priority \(core.schedPrio)")
        }
        if core.hasSchedNice {
            batch.call(
                Int(SYS_setpriority), 0, 0, .signed(core.schedNice), for: "set its nice value to \(core.schedNice)")
        }
    }

    private func composeAlternateStack(_ core: ThreadCoreEntry, in batch: inout Batch) {
        let disabled: UInt32 = 2  // SS_DISABLE
        guard core.hasSas, core.sas.ssFlags & disabled == 0, core.sas.ssSize > 0 else { return }
        var bytes: [UInt8] = []
        bytes.append(littleEndian: core.sas.ssSp)
        // SS_ONSTACK is what sigaltstack(2) reports; it follows from the stack pointer.
        bytes.append(littleEndian: UInt64(core.sas.ssFlags & ~1))
        bytes.append(littleEndian: core.sas.ssSize)
        let stack = batch.buffer(bytes)
        batch.call(Int(SYS_sigaltstack), .address(stack), 0, for: "set the alternate signal stack")
    }

    private func composeCredentials(_ creds: CredsEntry, of task: TaskImages, in batch: inout Batch) {
        let (setSecurebits, dropBound, ambient, raise, clearAll, noNewPrivs) = (28, 24, 47, 2, 4, 38)
        // While users change, capabilities must stay: SECBIT_NO_SETUID_FIXUP.
        batch.call(Int(SYS_prctl), .int(setSecurebits), 4, for: "keep its capabilities for the change of user")
        var list: [UInt8] = []
        for group in creds.groups { list.append(littleEndian: group) }
        let groups = batch.buffer(list)
        batch.call(Int(SYS_setgroups), .int(creds.groups.count), .address(groups), for: "set its groups")
        batch.call(
            Int(SYS_setresgid), .value(UInt64(creds.gid)), .value(UInt64(creds.egid)), .value(UInt64(creds.sgid)),
            for: "set its group to \(creds.gid)")
        batch.call(Int(SYS_setfsgid), .value(UInt64(creds.fsgid)))
        batch.call(
            Int(SYS_setresuid), .value(UInt64(creds.uid)), .value(UInt64(creds.euid)), .value(UInt64(creds.suid)),
            for: "set its user to \(creds.uid)")
        batch.call(Int(SYS_setfsuid), .value(UInt64(creds.fsuid)))
        for capability in 0...Int(host.lastCapability) where !has(capability, creds.capBnd) {
            batch.call(Int(SYS_prctl), .int(dropBound), .int(capability), for: "drop capability \(capability)")
        }
        batch.call(Int(SYS_prctl), .int(setSecurebits), .value(UInt64(creds.secbits)), for: "set its secure bits")
        var header: [UInt8] = []
        header.append(littleEndian: UInt32(0x2008_0522))  // _LINUX_CAPABILITY_VERSION_3
        header.append(littleEndian: UInt32(0))
        let version = batch.buffer(header)
        var sets: [UInt8] = []
        for word in 0..<2 {
            for set in [creds.capEff, creds.capPrm, creds.capInh] {
                sets.append(littleEndian: word < set.count ? set[word] : 0)
            }
        }
        let capabilities = batch.buffer(sets)
        batch.call(Int(SYS_capset), .address(version), .address(capabilities), for: "set its capabilities")
        batch.call(Int(SYS_prctl), .int(ambient), .int(clearAll), 0, 0, 0, for: "clear its ambient capabilities")
        for capability in 0...Int(host.lastCapability) where has(capability, creds.capAmb) {
            batch.call(
                Int(SYS_prctl), .int(ambient), .int(raise), .int(capability), 0, 0,
                for: "raise ambient capability \(capability)")
        }
        if creds.noNewPrivs != 0 { batch.call(Int(SYS_prctl), .int(noNewPrivs), 1, 0, 0, 0, for: "set no_new_privs") }
    }

    private func has(_ capability: Int, _ set: [UInt32]) -> Bool {
        capability / 32 < set.count && set[capability / 32] & (1 << UInt32(capability % 32)) != 0
    }

    // MARK: The way out

    /// Copies the signal frame by which the thread leaves to where the kernel would put one: on the alternate stack
    /// if there is one that is not in use, else below the red zone of the stack. What is there is dead by the rules
    /// of signals.
    private mutating func composeFrame(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let thread = task.threads[number]
        let core = thread.core.threadCore
        let info = thread.core.threadInfo
        guard let area = ExtendedState.area(info.fpregs, layout: host.extendedState) else {
            let missing = ExtendedState.missingFeatures(info.fpregs, layout: host.extendedState)
            return problems.append(
                Problem(
                    .processorDiffers,
                    "thread \(thread.tid) uses registers that this processor lacks (XSAVE features 0x"
                        + String(missing, radix: 16) + ")",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on a host whose processor has them"))
        }
        let sp = info.gpregs.sp
        let stack = core.sas
        let hasAlternate = core.hasSas && stack.ssFlags & 2 == 0 && stack.ssSize > 0
        let isOnAlternate = hasAlternate && sp > stack.ssSp && sp <= stack.ssSp + stack.ssSize
        let top =
            hasAlternate && !isOnAlternate && stack.ssSize >= UInt64(area.count + 1024)
            ? stack.ssSp + stack.ssSize : sp - SignalFrame.redZone
        let mask = core.hasBlkSigset ? core.blkSigset : task.task.blkSigset
        let frame = SignalFrame(
            below: RemoteAddress(top), registers: Self.registers(info.gpregs), signalMask: mask, extendedState: area,
            features: host.extendedState.features)
        guard isWritable(frame.address.raw..<top, task) else {
            return problems.append(
                Problem(
                    .imageUnsuitable,
                    "thread \(thread.tid) has no room for a signal frame below its stack pointer",
                    object: .init(pid: task.pid, process: task.task.commText, address: sp),
                    remedy: "Dump it at another moment: it would not survive a signal either"))
        }
        let bytes = batch.buffer(frame.bytes, alignment: 64)
        let vectors = batch.space(32)
        batch.store(addressOf: bytes, in: vectors)
        batch.store(frame.bytes.count, in: vectors, at: 8)
        batch.store(Int(frame.address.raw), in: vectors, at: 16)
        batch.store(frame.bytes.count, in: vectors, at: 24)
        let (source, target) = (vectors.part(0, 16), vectors.part(16, 16))
        batch.call(
            Int(SYS_process_vm_writev), .signed(task.pid), .address(source), 1, .address(target), 1, 0,
            expecting: Int64(frame.bytes.count)...Int64(frame.bytes.count), for: "prepare the way out")
        plan.tasks[index].threads[number].frame = frame.address
        if let vdso = task.memory?.vmas.first(where: { $0.kind.contains(.vdso) }),
            let offset = Husk.exitOffset(inVdso: host.vdso)
        {
            plan.tasks[index].threads[number].leave = RemoteAddress(vdso.start) + (offset + Husk.exit.entry)
        }
    }

    private func isWritable(_ range: Range<UInt64>, _ task: TaskImages) -> Bool {
        guard let vmas = task.memory?.vmas else { return false }
        return vmas.contains { vma in
            vma.start <= range.lowerBound && range.upperBound <= vma.end && vma.prot & UInt32(PROT_WRITE) != 0
        }
    }

    private static func registers(_ r: UserX86RegsEntry) -> SignalFrame.Registers {
        var registers = SignalFrame.Registers()
        (registers.r8, registers.r9, registers.r10, registers.r11) = (r.r8, r.r9, r.r10, r.r11)
        (registers.r12, registers.r13, registers.r14, registers.r15) = (r.r12, r.r13, r.r14, r.r15)
        (registers.rdi, registers.rsi, registers.rbp, registers.rbx) = (r.di, r.si, r.bp, r.bx)
        (registers.rdx, registers.rax, registers.rcx, registers.rsp) = (r.dx, r.ax, r.cx, r.sp)
        (registers.rip, registers.flags) = (r.ip, r.flags)
        registers.cs = UInt16(truncatingIfNeeded: r.cs)
        registers.ss = UInt16(truncatingIfNeeded: r.ss)
        registers.fs = UInt16(truncatingIfNeeded: r.fs)
        registers.gs = UInt16(truncatingIfNeeded: r.gs)
        return registers
    }
}

extension Problem.Code {
    static let processorDiffers: Self = "processor-differs"
}
