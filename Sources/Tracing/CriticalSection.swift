internal import CLinux
internal import Linux
internal import SystemPackage

/// The critical section of a restartable sequence (rseq(2)) in which a thread was stopped.
///
/// A section that was preempted must not go on: the kernel sends the thread to the section's abort handler, when the
/// thread is about to return to user mode. It decides by the instruction pointer of that moment, and forgets the section
/// where that lies outside of it. So it would forget the section of a thread that Apus has borrowed, and the thread, put
/// back into its midst, would complete what others have changed meanwhile. What the kernel would do is therefore done
/// at the stop already, as long as it can be seen.
enum CriticalSection {
    /// Where the thread has to go on.
    ///
    /// - Returns: nil where it is in no section, or the kernel cannot tell (before Linux 5.13).
    static func abortAddress(of tid: Int32, at instruction: UInt64) -> UInt64? {
        guard let area = try? Ptrace.rseq(tid),
            // struct rseq: rseq_cs is the u64 at offset 8.
            let section = word(tid, area.address &+ 8), section != 0,
            // struct rseq_cs: version, flags, start, length, abort.
            let bytes = try? RemoteMemory.read(tid, at: section, count: 32)
        else { return nil }
        let start = bytes.littleEndian(UInt64.self, at: 8)
        let length = bytes.littleEndian(UInt64.self, at: 16)
        let abort = bytes.littleEndian(UInt64.self, at: 24)
        guard instruction >= start, instruction - start < length else { return nil }
        // The kernel kills a thread whose abort handler is not preceded by the signature: it shall have the last word.
        guard let signature = word(tid, abort &- 4), UInt32(truncatingIfNeeded: signature) == area.signature else {
            return nil
        }
        return abort
    }

    private static func word(_ tid: Int32, _ address: UInt64) -> UInt64? {
        guard let bytes = try? RemoteMemory.read(tid, at: address, count: 8) else { return nil }
        return bytes.littleEndian(UInt64.self, at: 0)
    }
}
