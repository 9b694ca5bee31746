internal import CLinux
public import SystemPackage

/// A file descriptor that exactly one place owns: closed when that place lets go of it, never twice, never leaked.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, for calls while this value lives.
    public let raw: Int32

    /// Takes over a descriptor that nothing else will close.
    public init(owning raw: Int32) {
        precondition(raw >= 0, "a descriptor is never negative")
        self.raw = raw
    }

    deinit {
        // close(2) is never retried: the kernel frees the number even when it reports an error.
        _ = apus_syscall(Int(SYS_close), UInt(raw), 0, 0, 0, 0, 0)
    }

    /// Gives up ownership: the caller must close the descriptor, or pass it on.
    public consuming func release() -> Int32 {
        let raw = self.raw
        discard self
        return raw
    }

    /// Closes the descriptor and reports what close(2) says: a write error that was deferred, for example.
    public consuming func close() throws(Errno) {
        let raw = release()
        try call(Int(SYS_close), UInt(raw), retrying: false)
    }
}
