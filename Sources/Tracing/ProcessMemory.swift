internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
public import SystemPackage

/// The memory of a process through `/proc/PID/mem`: read and written whatever the protection of its mappings, a
/// write to a private mapping making a private copy of the page (proc_pid_mem(5)).
public final class ProcessMemory {
    public let pid: Int32
    private let file: OwnedDescriptor

    /// - Throws: `memory-unreachable` where the kernel does not let Apus open the file.
    public init(pid: Int32) throws(Problem) {
        self.pid = pid
        do throws(Errno) {
            let path = Array("/proc/\(pid)/mem".utf8CString)
            let raw = unsafe path.withUnsafeBufferPointer { buffer in
                apus_syscall(
                    Int(SYS_openat), UInt(signed: AT_FDCWD), UInt(bitPattern: buffer.baseAddress),
                    UInt(O_RDWR | O_CLOEXEC), 0, 0, 0)
            }
            guard raw >= 0 else { throw Errno(rawValue: apus_errno()) }
            file = OwnedDescriptor(owning: Int32(raw))
        } catch {
            throw Problem(
                .memoryUnreachable, "its memory cannot be opened", object: .init(pid: pid),
                cause: .init(error, attempted: "open(\"/proc/\(pid)/mem\", O_RDWR)"),
                remedy: "Run Apus as root, or with CAP_SYS_PTRACE in the process's user namespace")
        }
    }

    /// Reads exactly so many bytes.
    public func read(_ address: RemoteAddress, count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result: Result<Int, Errno> = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe transfer(Int(SYS_pread64), UnsafeRawBufferPointer(buffer), address)
        }
        if try result.get() < count { throw .badAddress }
        return bytes
    }

    /// Reads into memory of the caller as far as it can be read without a hole.
    ///
    /// - Returns: how many bytes were read; fewer than asked for where an unmapped page follows.
    /// - Throws: EIO or EFAULT where the first page already cannot be read.
    public func read(_ address: RemoteAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        unsafe try transfer(Int(SYS_pread64), UnsafeRawBufferPointer(buffer), address).get()
    }

    /// Writes all the bytes.
    public func write(_ bytes: [UInt8], at address: RemoteAddress) throws(Errno) {
        let result = unsafe bytes.withUnsafeBytes { unsafe transfer(Int(SYS_pwrite64), $0, address) }
        if try result.get() < bytes.count { throw .badAddress }
    }

    /// Moves bytes until all are moved or the kernel refuses to go on.
    private func transfer(
        _ number: Int, _ buffer: UnsafeRawBufferPointer, _ address: RemoteAddress
    ) -> Result<Int, Errno> {
        var done = 0
        while done < buffer.count {
            do throws(Errno) {
                let moved = try call(
                    number, UInt(file.raw), UInt(bitPattern: buffer.baseAddress) + UInt(done),
                    UInt(buffer.count - done), UInt(address.raw) + UInt(done))
                if moved == 0 { break }
                done += moved
            } catch {
                return done > 0 ? .success(done) : .failure(error)
            }
        }
        return .success(done)
    }
}

extension Problem.Code {
    public static let memoryUnreachable: Self = "memory-unreachable"
}
