internal import CLinux
public import SystemPackage

/// The memory of another process, by process_vm_readv(2) and process_vm_writev(2).
///
/// Both obey the page protections of the target; `/proc/PID/mem` does not.
public enum RemoteMemory {
    /// Why a transfer ended before its end.
    public struct Failure: Error, Sendable, Equatable {
        /// The first address that was not transferred.
        public var address: UInt64
        /// The kernel's refusal: EFAULT where nothing accessible is mapped, EPERM, ESRCH when the process is gone.
        public var errno: Errno

        public init(address: UInt64, errno: Errno) {
            self.address = address
            self.errno = errno
        }
    }

    /// Reads `count` bytes at an address of the process.
    public static func read(_ pid: Int32, at address: UInt64, count: Int) throws(Failure) -> [UInt8] {
        var failure: Failure?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(Failure) {
                // All of the buffer is filled, or the array is thrown away.
                try unsafe read(pid, at: address, into: UnsafeMutableRawBufferPointer(buffer))
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills the buffer from an address of the process.
    @unsafe public static func read(
        _ pid: Int32, at address: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Failure) {
        let local = UInt(bitPattern: buffer.baseAddress)
        try transfer(Int(SYS_process_vm_readv), pid, local: local, remote: address, count: buffer.count)
    }

    /// Writes all bytes to an address of the process.
    public static func write(_ pid: Int32, at address: UInt64, _ bytes: [UInt8]) throws(Failure) {
        let result = withAddress(ofBytes: bytes) { local, count -> Result<Void, Failure> in
            do throws(Failure) {
                return .success(
                    try transfer(
                        Int(SYS_process_vm_writev), pid, local: local, remote: address, count: Int(count)))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// One piece of the other process's memory.
    public struct Piece: Sendable, Equatable {
        public var address: UInt64
        /// In bytes.
        public var count: Int

        public init(address: UInt64, count: Int) {
            self.address = address
            self.count = count
        }
    }

    /// Fills the buffer with the pieces, one after another, in as few calls as the kernel allows (1024 pieces each).
    ///
    /// - Precondition: the buffer holds all pieces.
    @unsafe public static func read(
        _ pid: Int32, pieces: [Piece], into buffer: UnsafeMutableRawBufferPointer
    ) throws(Failure) {
        precondition(pieces.reduce(0) { $0 + $1.count } <= buffer.count, "the buffer is too small")
        var local = UInt64(UInt(bitPattern: buffer.baseAddress))
        var rest = pieces[...]
        while !rest.isEmpty {
            var group = rest.prefix(1024).map { apus_iovec(base: $0.address, length: UInt64($0.count)) }
            rest = rest.dropFirst(1024)
            var wanted = group.reduce(0) { $0 + $1.length }
            while wanted > 0 {
                var here = apus_iovec(base: local, length: wanted)
                let got: Int
                do throws(Errno) {
                    got = try readOnce(pid, &here, group)
                } catch {
                    throw Failure(address: group.first?.base ?? 0, errno: error)
                }
                if got == 0 { throw Failure(address: group.first?.base ?? 0, errno: .badAddress) }
                local += UInt64(got)
                wanted -= UInt64(got)
                group = remainder(of: group, after: UInt64(got))
            }
        }
    }

    private static func readOnce(
        _ pid: Int32, _ here: inout apus_iovec, _ there: [apus_iovec]
    ) throws(Errno) -> Int {
        try withAddress(of: &here) { here in
            unsafe there.withUnsafeBytes { buffer in
                // The addresses are used by one call while the closures lend the memory.
                let remote = UInt(bitPattern: buffer.baseAddress)
                return outcome(
                    of: Int(SYS_process_vm_readv), UInt(signed: pid), here, 1, remote, UInt(there.count), 0)
            }
        }
    }

    private static func remainder(of pieces: [apus_iovec], after count: UInt64) -> [apus_iovec] {
        var (left, result) = (count, [apus_iovec]())
        for piece in pieces {
            let skipped = min(left, piece.length)
            left -= skipped
            if skipped < piece.length {
                result.append(apus_iovec(base: piece.base + skipped, length: piece.length - skipped))
            }
        }
        return result
    }

    /// Repeats the call until everything is transferred. A partial transfer ends at a page that cannot be reached: the
    /// next round starts there, and has the error.
    private static func transfer(
        _ number: Int, _ pid: Int32, local: UInt, remote: UInt64, count: Int
    ) throws(Failure) {
        var done: UInt64 = 0
        while done < UInt64(count) {
            var pieces = (
                apus_iovec(base: UInt64(local) + done, length: UInt64(count) - done),
                apus_iovec(base: remote + done, length: UInt64(count) - done)
            )
            do throws(Errno) {
                let got = try withAddress(of: &pieces) { address in
                    outcome(of: number, UInt(signed: pid), address, 1, address + 16, 1, 0)
                }
                if got == 0 { throw .badAddress }
                done += UInt64(got)
            } catch {
                throw Failure(address: remote + done, errno: error)
            }
        }
    }
}
