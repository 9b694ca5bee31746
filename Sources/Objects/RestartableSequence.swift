internal import CLinux
public import Images
internal import Linux

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
}
