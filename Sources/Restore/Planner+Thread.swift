internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a thread is, in the order in which it is made.
extension Planner {
    /// Adds the making of all threads but the leader. A new thread finds everything else in its place.
    mutating func composeThreads(_ index: Int, in finish: inout Batch) {
        let task = images.tasks[index]
        let speaker = plan.tasks[index].firstLasting
        for number in task.threads.indices.dropFirst(speaker + 1) {
            var own = Batch()
            composeThread(index, number, in: &own)
            queue(task.threads[number], in: &own, pid: task.pid)
            plan.tasks[index].threads[number].batch = placed(own)
        }
        guard plan.tasks[index].goesStepwise else { return addClones(index, in: &finish) }
        var making = Batch()
        addClones(index, in: &making)
        if plan.tasks[index].leaderEnds { composeEnd(of: task, in: &making) }
        plan.tasks[index].threadMaking = placed(making)
        composeSharedFilters(index)
    }

    private func addClones(_ index: Int, in batch: inout Batch) {
        for thread in plan.tasks[index].threads.dropFirst() {
            // CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_SYSVSEM
            addClone(
                of: thread.tid, flags: 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000, exitSignal: 0,
                control: address(thread.controlPlace), purpose: "make thread \(thread.tid)", in: &batch)
        }
    }

    /// Ends the first thread of a process whose others live on. Nothing is cleared or woken at its end: that has
    /// happened long ago.
    private func composeEnd(of task: TaskImages, in batch: inout Batch) {
        let core = task.core.threadCore
        if core.hasCreds { composeCredentials(core.creds, of: task, in: &batch) }
        let status = task.task.exitCode
        batch.call(Int(SYS_exit), .value(UInt64(status >> 8 & 0xff)), for: "end the first thread")
    }

    mutating func composeThread(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let thread = task.threads[number]
        let core = thread.core.threadCore
        let info = thread.core.threadInfo
        composeSeccomp(index, number, in: &batch)
        if isCompat(task) {
            composeCompatThread(thread.core, in: &batch)
        } else {
            let (setFS, setGS) = (0x1002, 0x1001)  // ARCH_SET_FS, ARCH_SET_GS
            batch.call(Int(SYS_arch_prctl), .int(setFS), .value(info.gpregs.fsBase), for: "set the FS base")
            batch.call(Int(SYS_arch_prctl), .int(setGS), .value(info.gpregs.gsBase), for: "set the GS base")
        }
        batch.call(Int(SYS_set_tid_address), .value(info.clearTidAddr_p), for: "set the thread's clear_child_tid")
        if core.futexRla != 0, !isCompat(task) {
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
        composeThreadSettings(thread, in: &batch)
        composeRingRegistrations(index, number, in: &batch)
        composeQueueNotifications(index, number, in: &batch)
        plan.tasks[index].threads[number].dispatch = ThreadSettings(images.supplement[.thread, thread.tid]).dispatch
        composeAlternateStack(core, in: &batch)
        if core.hasCreds { composeCredentials(core.creds, of: task, in: &batch) }
        composeDumpable(task, in: &batch)
        composeLabel(thread, of: task, in: &batch)
        if core.pdeathSig != 0 {
            batch.call(Int(SYS_prctl), 1, .value(UInt64(core.pdeathSig)), for: "set its parent-death signal")
        }
        composeFrame(index, number, in: &batch)
    }

    func composeAlternateStack(_ core: ThreadCoreEntry, in batch: inout Batch) {
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
}
