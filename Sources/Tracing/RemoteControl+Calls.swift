internal import CLinux
internal import CTrampoline
internal import Diagnostics
internal import Linux

/// What the way under control and out of it is made of: single system calls between two stops, and the state from which a
/// thread finds back by itself.
extension RemoteControl {
    /// What has to be undone in the process if Apus dies during a single call.
    struct Undo {
        var mappingLength: UInt64 = 0
        var mailbox = RemoteAddress(0)
        var descriptors = RemoteAddress(0)
    }

    /// Has the leader begin one system call. It stops at the entry into it; `passEntry` and `finishCall` complete it.
    func beginCall(_ number: Int, _ arguments: [UInt64], undo: Undo) throws(Problem) {
        var registers = leader.registers
        var values = arguments + Array(repeating: 0, count: 6 - arguments.count)
        registers.rdi = values.removeFirst()
        registers.rsi = values.removeFirst()
        registers.rdx = values.removeFirst()
        registers.r10 = values.removeFirst()
        registers.r8 = values.removeFirst()
        registers.r9 = values.removeFirst()
        registers.rax = UInt64(number)
        registers.cs = Self.codeSegment
        registers.rip = cave.single.raw
        registers.rsp = (cave.resume(0) + cave.wayOut.registersOffset).raw
        registers.rbx = undo.mailbox.raw
        registers.rbp = undo.mailbox.raw == 0 ? 0 : UInt64(Self.mailboxSize)
        registers.r13 = undo.mappingLength
        registers.r15 = undo.descriptors.raw
        registers.orig_rax = UInt64.max
        Steps.take()
        try leader.assume(registers, mask: UInt64.max, through: wayBack(of: leader, slot: 0))
        try leader.resume(.toSystemCall)
    }

    /// Waits for the stop at the call's entry, and lets the thread make it.
    func passEntry() throws(Problem) {
        try leader.waitForSystemCallStop(timeToLeave ?? deadline)
        try leader.resume(.toSystemCall)
    }

    /// Waits for the stop at the call's exit.
    ///
    /// - Returns: what the call returned.
    func finishCall() throws(Problem) -> Int64 {
        try leader.waitForSystemCallStop(timeToLeave ?? deadline)
        roundTrips += 2
        return Int64(bitPattern: try leader.currentRegisters().rax)
    }

    /// Registers with which a thread becomes what it was by itself, once `save` has been called for it. A thread that
    /// is counted among the users of the mailbox counts itself out on the way, and unmaps it if it is the last.
    func wayBack(of thread: Tracee, slot: Int) -> user_regs_struct {
        var registers = thread.registers
        registers.cs = Self.codeSegment
        registers.rip = (cave.resume(slot) + (slot == 0 ? cave.wayOut.registersOffset : 0)).raw
        if slot != 0 {
            registers.rax = UInt64(SYS_munmap)
            registers.rdi = mailbox.raw
            registers.rsi = UInt64(Self.mailboxSize)
            registers.r9 = (mailbox + Layout.users).raw
        }
        registers.orig_rax = UInt64.max
        return registers
    }

    /// Stores where a thread goes on when it leaves by itself.
    func save(_ thread: Tracee, slot: Int) throws(Problem) {
        let r = InterruptedCall.resumable(thread.registers)
        var bytes: [UInt8] = []
        for value in [
            r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi, r.rdi,
            Self.jumpTarget(r), r.eflags, r.rsp, thread.signalMask,
        ] { bytes.append(littleEndian: value) }
        if cave.wayOut.dispatches { bytes += try self.dispatch(of: thread) }
        try write(bytes, at: cave.saved(slot))
    }

    /// What the way back has to know of how the system calls of a thread are dispatched to itself.
    private func dispatch(of thread: Tracee) throws(Problem) -> [UInt8] {
        var bytes: [UInt8] = []
        let dispatch = thread.dispatch ?? SystemCallDispatch(mode: 0, offset: 0, length: 0, selector: 0)
        let selected = dispatch.selector == 0 ? 0 : try read(RemoteAddress(dispatch.selector), count: 1)[0]
        for value in [dispatch.mode, dispatch.offset, dispatch.length, dispatch.selector, UInt64(selected)] {
            bytes.append(littleEndian: value)
        }
        return bytes
    }

    /// Sets a thread going on the trampoline.
    func start(_ thread: Tracee, slot: Int, batch: RemoteAddress, count: Int) throws(Problem) {
        let control = mailbox + Layout.control(slot)
        // Only the leader cleans up: it closes the channel; the last to leave unmaps the mailbox.
        if slot == 0 {
            var cleanup = Batch()
            cleanup.call(Int(SYS_close), .value(UInt64(try ownEnd())))
            try write(cleanup.encoded(at: mailbox + Layout.cleanup), at: mailbox + Layout.cleanup)
        }
        var block: [UInt8] = []
        for value in [
            batch.raw, UInt64(count), (mailbox + Layout.cleanup).raw, slot == 0 ? 1 : 0, 0,
            (mailbox + Layout.descriptors).raw, 0, mailbox.raw, UInt64(Self.mailboxSize),
            (mailbox + Layout.users).raw, cave.resume(slot).raw, UInt64(slot),
        ] { block.append(littleEndian: value) }
        try write(block, at: control)
        var registers = thread.registers
        registers.cs = Self.codeSegment
        registers.rip = (isCompat ? mailbox + Layout.core : cave.core).raw
        registers.r12 = control.raw
        registers.orig_rax = UInt64.max
        try thread.assume(registers, mask: UInt64.max, through: wayBack(of: thread, slot: slot)) { () throws(Problem) in
            if slot != 0 { try setUsers(2) }
        }
        try thread.resume(.run)
    }

    func ownEnd() throws(Problem) -> UInt32 {
        try read(mailbox + Layout.descriptors, count: 4).littleEndian(UInt32.self, at: 0)
    }

    func setUsers(_ count: UInt64) throws(Problem) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: count)
        try write(bytes, at: mailbox + Layout.users)
    }
}
