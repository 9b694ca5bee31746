internal import CLinux
public import SystemPackage

/// Descriptors of processes (pidfd_open(2)) as programs hold them.
extension Processes {
    /// PIDFD_THREAD, since Linux 6.9: what is done through the descriptor concerns one thread. It is the number of O_EXCL,
    /// under which the flags of the description show it.
    public static let pidfdOfThread: Int32 = 0o200

    /// Whether the kernel has them. One that has not reaches a process by its first thread alone.
    public static let hasThreadDescriptors = (try? open(current, flags: pidfdOfThread)) != nil

    /// pidfd_open(2) with flags.
    ///
    /// - Parameters:
    ///   - pid: a process; with PIDFD_THREAD a thread.
    ///   - flags: PIDFD_NONBLOCK, which is O_NONBLOCK, and PIDFD_THREAD.
    /// - Throws: ESRCH; EINVAL for flags that the kernel does not know.
    public static func open(_ pid: Int32, flags: Int32) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(owning: Int32(try call(Int(SYS_pidfd_open), UInt(signed: pid), UInt(signed: flags))))
    }

    /// How a process has ended that nobody can wait for any more, as the word of wait4(2): PIDFD_GET_INFO of ioctl(2).
    ///
    /// - Returns: nil where the kernel does not keep that (before Linux 6.15), or the process lives.
    public static func endOf(pidfd: Int32) -> UInt32? {
        // struct pidfd_info: a mask of 64 bits, and at byte 60 the status, which is there if the kernel leaves the bit.
        var info: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (1 << 3, 0, 0, 0, 0, 0, 0, 0)
        let request: UInt = 0xc040_ff0b
        do throws(Errno) {
            _ = try withAddress(of: &info) { outcome(of: Int(SYS_ioctl), UInt(signed: pidfd), request, $0) }
        } catch {
            return nil
        }
        return info.0 & 1 << 3 == 0 ? nil : UInt32(truncatingIfNeeded: info.7 >> 32)
    }

    /// A child of this process that is there to have been: it does nothing, and ends at the latest with its maker.
    ///
    /// - Parameters:
    ///   - pid: which it shall be; nil for any.
    ///   - end: the word of wait4(2) with which it ends at once; nil for one that waits to be killed.
    /// - Throws: EEXIST where there is a process with that pid; EPERM.
    public static func startPlaceholder(pid: Int32? = nil, end: UInt32? = nil) throws(Errno) -> Int32 {
        let result = apus_placeholder(pid ?? 0, end.map { Int32(bitPattern: $0 & 0xffff) } ?? -1)
        guard result > 0 else { throw Errno(rawValue: -result) }
        return result
    }
}
