internal import CLinux
internal import Diagnostics

/// 32-bit programs. Their threads run the trampoline in 64-bit mode, which is one code segment away, and go back to
/// their own mode by a far jump.
extension RemoteControl {
    /// __USER_CS (asm/segment.h): 64-bit mode, in which the trampoline runs.
    static let codeSegment: UInt64 = 0x33
    /// What a 32-bit program can address.
    static let compatEnd: UInt64 = 1 << 32

    /// Whether a process is a 32-bit program.
    ///
    /// - Throws: `foreign-architecture` where it is neither that nor a 64-bit program, or both.
    static func isCompat(_ process: FrozenProcess, _ vdso: Range<RemoteAddress>) throws(Problem) -> Bool {
        let isCompat = vdso.upperBound.raw <= compatEnd
        let odd = process.threads.first { thread in
            isCompat ? !thread.registers.isCompat : thread.registers.cs != codeSegment
        }
        guard let odd else { return isCompat }
        throw Problem(
            .foreignArchitecture,
            "thread \(odd.tid) has left the mode of its program (code segment 0x"
                + String(odd.registers.cs, radix: 16) + ")",
            object: .init(pid: process.pid),
            remedy: "Emulators and virtual machines within a program do so: dump it while none is at work")
    }

    /// What the last jump of the way back reads: an address, or for a 32-bit program an offset and a selector.
    static func jumpTarget(_ registers: user_regs_struct) -> UInt64 {
        registers.isCompat ? registers.rip & 0xffff_ffff | registers.cs << 32 : registers.rip
    }

    /// Where there is room for one thread only, another has the process for itself meanwhile.
    func runAlone(_ batch: Batch, on thread: Tracee) throws(Problem) -> BatchResult {
        try release()
        let other = try RemoteControl(process, by: thread, vdso: vdso, deadline: deadline)
        let result = try other.run(batch)
        try other.release()
        roundTrips += other.roundTrips
        return result
    }
}
