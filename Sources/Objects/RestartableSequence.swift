internal import CLinux
public import Images
internal import Linux
public import SystemPackage
public import Tracing

/// The restartable sequences of a thread (rseq(2)).
public enum RestartableSequence {
    /// The area that a thread has registered.
    ///
    /// - Returns: nil where it has none, or the kernel cannot tell (before 5.13).
    public static func entry(of tid: Int32) -> RseqEntry? {
        guard let configuration = try? Ptrace.rseq(tid) else { return nil }
        var entry = RseqEntry()
        entry.rseqAbiPointer = configuration.address
        entry.rseqAbiSize = configuration.size
        entry.signature = configuration.signature
        return entry
    }

    /// Where a thread must go on that was stopped within a critical section: on another processor, the kernel would
    /// send it to the section's abort handler, and so does the restore.
    ///
    /// - Returns: nil where the thread was in no critical section.
    public static func abortAddress(
        _ entry: RseqEntry, instruction: UInt64, _ memory: ProcessMemory
    ) throws(Errno) -> UInt64? {
        // struct rseq: rseq_cs is the u64 at offset 8. struct rseq_cs: version, flags, start, length, abort.
        let area = try memory.read(RemoteAddress(entry.rseqAbiPointer), count: 16)
        let section = area.littleEndian(UInt64.self, at: 8)
        guard section != 0 else { return nil }
        let descriptor = try memory.read(RemoteAddress(section), count: 32)
        let start = descriptor.littleEndian(UInt64.self, at: 8)
        let length = descriptor.littleEndian(UInt64.self, at: 16)
        guard instruction >= start, instruction - start < length else { return nil }
        return descriptor.littleEndian(UInt64.self, at: 24)
    }
}
