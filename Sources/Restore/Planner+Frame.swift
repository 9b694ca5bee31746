internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The way out: the signal frame by which a thread enters the restored program.
extension Planner {
    /// Copies the signal frame by which the thread leaves to where the kernel would put one: on the alternate stack
    /// if there is one that is not in use, else below the red zone of the stack. What is there is dead by the rules
    /// of signals.
    mutating func composeFrame(_ index: Int, _ number: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        let thread = task.threads[number]
        let core = thread.core.threadCore
        let info = thread.core.threadInfo
        guard var area = ExtendedState.area(info.fpregs, layout: host.extendedState) else {
            let missing = ExtendedState.missingFeatures(info.fpregs, layout: host.extendedState)
            return problems.append(
                Problem(
                    .processorDiffers,
                    "thread \(thread.tid) uses registers that this processor lacks (XSAVE features 0x"
                        + String(missing, radix: 16) + ")",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on a host whose processor has them"))
        }
        var features = host.extendedState.features
        if let tiles = ThreadSettings(images.supplement[.thread, thread.tid]).tiles {
            guard tiles.add(to: &area, host.extendedState) else {
                return problems.append(
                    Problem(
                        .processorDiffers,
                        "thread \(thread.tid) uses tile registers (AMX), which this processor lacks, or has of another size",
                        object: .init(pid: task.pid, process: task.task.commText),
                        remedy: "Restore it on a host whose processor has them"))
            }
            features |= ExtendedStateLayout.Tiles.features
            batch.useTiles(batch.buffer(TileRegisters.smallest, alignment: 64))
        }
        let sp = info.gpregs.sp
        let stack = core.sas
        let rights = ExtendedState.keyRights(info.fpregs)
        let room = UInt64(area.count + 1024)
        let hasAlternate =
            core.hasSas && stack.ssFlags & 2 == 0 && stack.ssSize > 0
            && !ways[index].isDenied(stack.ssSp..<max(stack.ssSp, stack.ssSp &+ stack.ssSize), rights)
        let isOnAlternate = hasAlternate && sp > stack.ssSp && sp <= stack.ssSp + stack.ssSize
        let top =
            hasAlternate && !isOnAlternate && stack.ssSize >= room
            ? stack.ssSp + stack.ssSize : sp - SignalFrame.redZone
        if ways[index].isDenied(top &- room..<max(top, top &- room), rights) {
            return problems.append(
                Problem(
                    .imageUnsuitable,
                    "thread \(thread.tid) may not use its own stack, by its rights to protection keys (pkeys)",
                    object: .init(pid: task.pid, process: task.task.commText, address: sp),
                    remedy: "Dump it at another moment: it would not survive a signal either"))
        }
        if isCompat(task) { return composeCompatFrame(index, number, top: top, area: area, in: &batch) }
        let mask = core.hasBlkSigset ? core.blkSigset : task.task.blkSigset
        let frame = SignalFrame(
            below: RemoteAddress(top), registers: Self.registers(info.gpregs), signalMask: mask, extendedState: area,
            features: features)
        guard makeRoom(for: frame.address.raw..<top, index, number, in: &batch) else { return }
        let bytes = batch.buffer(frame.bytes, alignment: 64)
        let vectors = batch.space(32)
        batch.store(addressOf: bytes, in: vectors)
        batch.store(frame.bytes.count, in: vectors, at: 8)
        batch.store(Int(frame.address.raw), in: vectors, at: 16)
        batch.store(frame.bytes.count, in: vectors, at: 24)
        let (source, target) = (vectors.part(0, 16), vectors.part(16, 16))
        batch.call(
            Int(SYS_process_vm_writev), .signed(thread.tid), .address(source), 1, .address(target), 1, 0,
            expecting: Int64(frame.bytes.count)...Int64(frame.bytes.count), for: "prepare the way out")
        plan.tasks[index].threads[number].frame = frame.address
        if let leave = ways[index].leave { plan.tasks[index].threads[number].leave = leave }
    }

    /// Sees to it that the frame by which a thread leaves can be written.
    ///
    /// - Returns: whether it can.
    mutating func makeRoom(for frame: Range<UInt64>, _ index: Int, _ number: Int, in batch: inout Batch) -> Bool {
        if ways[index].isWritable(frame) { return true }
        if ways[index].stacks.contains(where: { $0.takesIn(frame) }) {
            GrowingStack.grow(to: RemoteAddress(frame.lowerBound), in: &batch)
            return true
        }
        let task = images.tasks[index]
        problems.append(
            Problem(
                .imageUnsuitable,
                "thread \(task.threads[number].tid) has no room for a signal frame below its stack pointer",
                object: .init(pid: task.pid, process: task.task.commText, address: frame.upperBound),
                remedy: "Dump it at another moment: it would not survive a signal either"))
        return false
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

/// What the ways out of all threads of a task have in common: looked up once, for a task may have thousands of threads
/// and each of them mappings of its own.
struct WaysOut {
    /// Where one may write, in order; what lies side by side is one.
    private var writable: [Range<UInt64>] = []
    /// The code by which threads leave, in the vdso; nil where there is none.
    let leave: RemoteAddress?
    /// Memory with protection keys.
    private let keyed: [MemoryTraits.Keyed]
    /// Where there can be more room than there is.
    let stacks: [GrowingStack]

    init(_ task: TaskImages, leave: RemoteAddress?, keyed: [MemoryTraits.Keyed], beside area: Range<UInt64>) {
        self.leave = leave
        stacks = GrowingStack.find(in: task, beside: area)
        self.keyed = keyed
        for vma in task.memory?.vmas ?? [] {
            if vma.prot & UInt32(PROT_WRITE) != 0 {
                if let last = writable.last, last.upperBound == vma.start {
                    writable[writable.count - 1] = last.lowerBound..<vma.end
                } else {
                    writable.append(vma.start..<vma.end)
                }
            }
        }
    }

    /// Whether a thread with these rights to protection keys may not read all of a range. The kernel reads a part of a signal
    /// frame after it has given the thread its rights.
    func isDenied(_ range: Range<UInt64>, _ rights: UInt32) -> Bool {
        keyed.contains { $0.range.overlaps(range) && rights >> UInt32(2 * $0.key) & 1 != 0 }
    }

    func isWritable(_ range: Range<UInt64>) -> Bool {
        var (low, high) = (0, writable.count)
        while low < high {
            let middle = (low + high) / 2
            if writable[middle].upperBound < range.upperBound { low = middle + 1 } else { high = middle }
        }
        return low < writable.count && writable[low].lowerBound <= range.lowerBound
    }
}

extension Problem.Code {
    static let processorDiffers: Self = "processor-differs"
}
