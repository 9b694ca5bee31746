internal import CLinux
internal import Glibc
public import SystemPackage

/// Files and descriptors: the kernel's calls, typed.
///
/// Descriptors that a call makes are close-on-exec and owned by the result; descriptors that a call uses are numbers.
public enum Files {
    /// Names the working directory where a call wants a directory descriptor (AT_FDCWD).
    public static let workingDirectory: Int32 = AT_FDCWD

    /// openat(2), with O_CLOEXEC added.
    ///
    /// - Parameters:
    ///   - directory: where a relative path starts.
    ///   - mode: permission bits of a file that this call creates, before the umask.
    public static func open(
        _ path: FilePath, _ flags: OpenFlags, mode: UInt32 = 0o600, at directory: Int32 = workingDirectory
    ) throws(Errno) -> OwnedDescriptor {
        let flags = UInt(signed: flags.union(.closeOnExec).rawValue)
        let result = withAddress(of: path) { address in
            outcome(of: Int(SYS_openat), UInt(signed: directory), address, flags, UInt(mode))
        }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }

    /// The same of a path with a NUL at its end, which is there.
    static func open(terminated path: [UInt8], _ flags: OpenFlags) throws(Errno) -> OwnedDescriptor {
        let flags = UInt(signed: flags.union(.closeOnExec).rawValue)
        let result = withAddress(ofBytes: path) { address, _ in
            outcome(of: Int(SYS_openat), UInt(signed: workingDirectory), address, flags, 0)
        }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }

    /// dup3(2): makes `target` another name of the open file description of `descriptor`, closing what was there.
    public static func duplicate(_ descriptor: Int32, as target: Int32, closeOnExec: Bool = true) throws(Errno) {
        try call(
            Int(SYS_dup3), UInt(signed: descriptor), UInt(signed: target), UInt(closeOnExec ? O_CLOEXEC : 0))
    }

    /// F_DUPFD_CLOEXEC (fcntl(2)): another descriptor of the same description, the lowest free one from `minimum`.
    public static func duplicate(_ descriptor: Int32, from minimum: Int32 = 0) throws(Errno) -> OwnedDescriptor {
        let number = try call(
            Int(SYS_fcntl), UInt(signed: descriptor), UInt(F_DUPFD_CLOEXEC), UInt(signed: minimum))
        return OwnedDescriptor(owning: Int32(number))
    }

    /// close(2) for a descriptor that no `OwnedDescriptor` owns. Never retried: the number is free even after an error.
    public static func close(_ descriptor: Int32) throws(Errno) {
        try call(Int(SYS_close), UInt(signed: descriptor), retrying: false)
    }

    /// close_range(2), since Linux 5.9: closes `first...last`, whichever of them are open.
    public static func closeRange(_ first: UInt32, through last: UInt32) throws(Errno) {
        try call(Int(SYS_close_range), UInt(first), UInt(last), 0)
    }

    /// Two ends that belong together. Frozen, so that each may be taken out and have an owner of its own.
    @frozen public struct Pair: ~Copyable {
        /// The end to read from; of a socket pair, the first one.
        public var first: OwnedDescriptor
        /// The end to write to; of a socket pair, the second one.
        public var second: OwnedDescriptor

        /// Takes over both descriptors.
        public init(owning first: Int32, _ second: Int32) {
            self.first = OwnedDescriptor(owning: first)
            self.second = OwnedDescriptor(owning: second)
        }
    }

    /// pipe2(2), close-on-exec, with the status flags given (O_NONBLOCK, O_DIRECT).
    public static func pipe(_ flags: OpenFlags = []) throws(Errno) -> Pair {
        var ends: (Int32, Int32) = (-1, -1)
        let flags = UInt(signed: flags.union(.closeOnExec).rawValue)
        _ = try withAddress(of: &ends) { outcome(of: Int(SYS_pipe2), $0, flags) }
        return Pair(owning: ends.0, ends.1)
    }

    /// socketpair(2) of Unix sockets, close-on-exec.
    ///
    /// - Parameter type: SOCK_STREAM (1), SOCK_DGRAM (2) or SOCK_SEQPACKET (5), with SOCK_NONBLOCK where wanted.
    public static func socketPair(type: Int32 = 1, as other: StandIn? = nil) throws(Errno) -> Pair {
        if let other { return try other.socketPair(type: type) }
        var ends: (Int32, Int32) = (-1, -1)
        // SOCK_CLOEXEC is O_CLOEXEC by definition.
        let type = UInt(signed: type | O_CLOEXEC)
        _ = try withAddress(of: &ends) { outcome(of: Int(SYS_socketpair), UInt(signed: AF_UNIX), type, 0, $0) }
        return Pair(owning: ends.0, ends.1)
    }

    /// memfd_create(2): a file without a name in any directory, close-on-exec.
    ///
    /// - Parameters:
    ///   - executable: whether it will be executed or mapped executable. Kernels from 6.3 want this said; older ones
    ///     do not know the flag, and always allow it.
    ///   - allowSealing: whether seals can be added.
    /// - Throws: EACCES where `vm.memfd_noexec` forbids an executable one.
    public static func memory(
        named name: FilePath, executable: Bool = false, allowSealing: Bool = false
    ) throws(Errno) -> OwnedDescriptor {
        let base = MemoryFileFlag.closeOnExec | (allowSealing ? MemoryFileFlag.allowSealing : 0)
        let stated = executable ? MemoryFileFlag.executable : MemoryFileFlag.noExecutableSeal
        do {
            // MFD_NOEXEC_SEAL implies that sealing is allowed, so it is left out where that was not asked for.
            return try memory(named: name, flags: executable || allowSealing ? base | stated : base)
        } catch .invalidArgument {
            return try memory(named: name, flags: base)
        }
    }

    /// memfd_create(2) with exactly these flags.
    public static func memory(named name: FilePath, flags: UInt32) throws(Errno) -> OwnedDescriptor {
        let result = withAddress(of: name) { outcome(of: Int(SYS_memfd_create), $0, UInt(flags)) }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }

    /// ftruncate(2), in bytes.
    public static func truncate(_ descriptor: Int32, to size: UInt64) throws(Errno) {
        try call(Int(SYS_ftruncate), UInt(signed: descriptor), UInt(size))
    }

    /// fsync(2): the file's data and metadata are on stable storage.
    public static func sync(_ descriptor: Int32) throws(Errno) {
        try call(Int(SYS_fsync), UInt(signed: descriptor))
    }

    /// syncfs(2): everything on the descriptor's file system is on stable storage.
    public static func syncFileSystem(of descriptor: Int32) throws(Errno) {
        try call(Int(SYS_syncfs), UInt(signed: descriptor))
    }
}

/// Flags of memfd_create(2).
public enum MemoryFileFlag {
    public static let closeOnExec: UInt32 = 0x1
    public static let allowSealing: UInt32 = 0x2
    public static let hugePages: UInt32 = 0x4
    /// MFD_NOEXEC_SEAL, since Linux 6.3.
    public static let noExecutableSeal: UInt32 = 0x8
    /// MFD_EXEC, since Linux 6.3.
    public static let executable: UInt32 = 0x10
}
