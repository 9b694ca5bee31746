internal import CLinux
public import Diagnostics
public import Linux
internal import SystemPackage

/// Apus' end of the socket over which a controlled process hears commands and reports. That it is open is what keeps
/// the process under control.
public struct Channel: ~Copyable {
    private let end: OwnedDescriptor

    /// What came over the channel.
    public enum Report: Sendable, Equatable {
        case token(UInt64)
        case nothing
        case gone
    }

    /// Takes over Apus' end.
    public init(owning end: consuming OwnedDescriptor) { self.end = end }

    /// Takes a copy of a descriptor of a process (pidfd_getfd(2)).
    ///
    /// - Parameters:
    ///   - thread: one of its threads, whose table of descriptors it is.
    ///   - pid: the process.
    init(takingFrom thread: Int32, of pid: Int32, _ descriptor: Int32) throws(Problem) {
        do throws(Errno) {
            let process = try Processes.open(thread: thread, of: pid)
            end = try Processes.descriptor(descriptor, of: process.raw)
        } catch {
            throw Problem(
                .remoteCallFailed, "its end of the channel cannot be taken", object: .init(pid: pid, fd: descriptor),
                cause: .init(error, attempted: "pidfd_getfd"),
                remedy:
                    "The kernel must be 5.6 or later, 6.9 for a process whose first thread has ended, and Apus needs"
                    + " CAP_SYS_PTRACE over the process")
        }
    }

    /// The descriptor's number.
    public var raw: Int32 { end.raw }

    /// Tells the process that a batch stands ready.
    public func command(pid: Int32) throws(Problem) {
        do throws(Errno) {
            // A message of eight bytes; a dead reader is an error and no SIGPIPE.
            let message: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0]
            let result = unsafe message.withUnsafeBytes {
                apus_syscall(
                    Int(SYS_sendto), UInt(end.raw), UInt(bitPattern: $0.baseAddress), 8, 0x4000, 0, 0)
            }
            if result < 0 { throw Errno(rawValue: apus_errno()) }
        } catch {
            throw Problem(
                .targetDied, "it hung up on Apus", object: .init(pid: pid), cause: .init(error, attempted: "sendto"),
                remedy: "Look in the kernel log whether it was killed, and start it anew")
        }
    }

    /// Waits for a report for so many nanoseconds.
    public func report(atMost nanoseconds: UInt64) -> Report {
        var entries = [Files.PollEntry(end.raw, .readable)]
        guard let ready = try? Files.poll(&entries, timeout: nanoseconds), ready > 0 else { return .nothing }
        return nextReport()
    }

    /// A report that has come already, without a wait.
    public func nextReport() -> Report {
        var token: UInt64 = 0
        let result = unsafe withUnsafeMutableBytes(of: &token) {
            apus_syscall(
                Int(SYS_recvfrom), UInt(end.raw), UInt(bitPattern: $0.baseAddress), 8, 0x40, 0, 0)
        }
        if result == 8 { return .token(token) }
        return result < 0 && apus_errno() == EAGAIN ? .nothing : .gone
    }
}
