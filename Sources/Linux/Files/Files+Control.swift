internal import CLinux
internal import Glibc
public import SystemPackage

/// fcntl(2): the settings of descriptors and of open file descriptions.
extension Files {
    /// F_GETFL: access mode and status flags of the open file description.
    public static func statusFlags(_ descriptor: Int32) throws(Errno) -> OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: try control(descriptor, F_GETFL)))
    }

    /// F_SETFL: changes O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME and O_NONBLOCK; other bits are ignored by the kernel.
    public static func setStatusFlags(_ descriptor: Int32, _ flags: OpenFlags) throws(Errno) {
        _ = try control(descriptor, F_SETFL, UInt(signed: flags.rawValue))
    }

    /// F_GETFD: whether the descriptor closes at execve(2).
    public static func closesOnExec(_ descriptor: Int32) throws(Errno) -> Bool {
        try control(descriptor, F_GETFD) & Int(FD_CLOEXEC) != 0
    }

    /// F_SETFD.
    public static func setClosesOnExec(_ descriptor: Int32, _ value: Bool) throws(Errno) {
        _ = try control(descriptor, F_SETFD, value ? UInt(FD_CLOEXEC) : 0)
    }

    /// Who gets the signals of a description (F_SETOWN_EX).
    public struct Owner: Sendable, Equatable {
        public var kind: Kind
        /// The thread, process or process group; 0 for none.
        public var id: Int32

        /// F_OWNER_* of fcntl(2).
        public enum Kind: Int32, Sendable { case thread = 0, process = 1, processGroup = 2 }

        public init(kind: Kind, id: Int32) {
            self.kind = kind
            self.id = id
        }
    }

    /// F_GETOWN_EX.
    ///
    /// - Throws: ENOTSUP for an owner of a kind that fcntl(2) does not list.
    public static func owner(_ descriptor: Int32) throws(Errno) -> Owner {
        var raw = apus_owner()
        _ = try withAddress(of: &raw) {
            outcome(of: Int(SYS_fcntl), UInt(signed: descriptor), UInt(APUS_F_GETOWN_EX), $0)
        }
        guard let kind = Owner.Kind(rawValue: raw.kind) else { throw .notSupported }
        return Owner(kind: kind, id: raw.pid)
    }

    /// F_SETOWN_EX.
    public static func setOwner(_ descriptor: Int32, _ owner: Owner) throws(Errno) {
        var raw = apus_owner(kind: owner.kind.rawValue, pid: owner.id)
        _ = try withAddress(of: &raw) {
            outcome(of: Int(SYS_fcntl), UInt(signed: descriptor), UInt(APUS_F_SETOWN_EX), $0)
        }
    }

    /// F_GETSIG: the signal sent for O_ASYNC; 0 means SIGIO without details.
    public static func signal(_ descriptor: Int32) throws(Errno) -> Int32 {
        Int32(try control(descriptor, APUS_F_GETSIG))
    }

    /// F_SETSIG.
    public static func setSignal(_ descriptor: Int32, _ signal: Int32) throws(Errno) {
        _ = try control(descriptor, APUS_F_SETSIG, UInt(signed: signal))
    }

    /// F_GET_SEALS of a memfd.
    public static func seals(_ descriptor: Int32) throws(Errno) -> UInt32 {
        UInt32(truncatingIfNeeded: try control(descriptor, APUS_F_GET_SEALS))
    }

    /// F_ADD_SEALS of a memfd.
    public static func addSeals(_ descriptor: Int32, _ seals: UInt32) throws(Errno) {
        _ = try control(descriptor, APUS_F_ADD_SEALS, UInt(seals))
    }

    /// How a whole file is locked (flock(2)).
    public enum WholeLock: Sendable {
        case shared, exclusive
    }

    /// flock(2); it is let go with the description.
    ///
    /// - Throws: EAGAIN where somebody else has it and it is not to be waited for.
    public static func lock(_ descriptor: Int32, _ lock: WholeLock, waits: Bool = true) throws(Errno) {
        let operation = (lock == .shared ? LOCK_SH : LOCK_EX) | (waits ? 0 : LOCK_NB)
        try call(Int(SYS_flock), UInt(signed: descriptor), UInt(signed: operation))
    }

    /// Takes a lease to write (F_SETLEASE, fcntl(2)), which the kernel grants where nobody else has the file open or
    /// mapped.
    ///
    /// - Throws: EAGAIN where somebody has.
    public static func takeWriteLease(_ descriptor: Int32) throws(Errno) {
        let (setLease, toWrite): (Int32, UInt) = (1024, 1)
        _ = try control(descriptor, setLease, toWrite)
    }

    private static func control(_ descriptor: Int32, _ command: Int32, _ argument: UInt = 0) throws(Errno) -> Int {
        try call(Int(SYS_fcntl), UInt(signed: descriptor), UInt(signed: command), argument)
    }
}

/// Pipes and what is queued in them.
extension Files {
    /// F_GETPIPE_SZ: the capacity in bytes.
    public static func pipeCapacity(_ descriptor: Int32) throws(Errno) -> Int {
        try control(descriptor, APUS_F_GETPIPE_SZ)
    }

    /// F_SETPIPE_SZ: asks for a capacity, in bytes.
    ///
    /// - Returns: the capacity there is now, rounded up to a power of two of pages.
    /// - Throws: EPERM above `/proc/sys/fs/pipe-max-size` without CAP_SYS_RESOURCE; EBUSY when more is queued.
    @discardableResult
    public static func setPipeCapacity(_ descriptor: Int32, _ bytes: Int) throws(Errno) -> Int {
        try control(descriptor, APUS_F_SETPIPE_SZ, UInt(bytes))
    }

    /// FIONREAD (ioctl_tty(2), pipe(7)): bytes that can be read now.
    public static func readableBytes(_ descriptor: Int32) throws(Errno) -> Int {
        var count: Int32 = 0
        _ = try withAddress(of: &count) {
            outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), APUS_FIONREAD, $0)
        }
        return Int(count)
    }

    /// tee(2): copies up to `count` bytes queued in one pipe to another without consuming them. Does not block.
    ///
    /// - Returns: the bytes copied, 0 where nothing is queued and nobody can write any more.
    /// - Throws: EAGAIN where nothing is queued or nothing fits.
    public static func tee(from source: Int32, to target: Int32, count: Int) throws(Errno) -> Int {
        let nonBlocking: UInt = 2
        return try call(Int(SYS_tee), UInt(signed: source), UInt(signed: target), UInt(count), nonBlocking)
    }

    /// splice(2): moves up to `count` bytes between two descriptors, one of them a pipe. Does not block on the pipe.
    public static func splice(from source: Int32, to target: Int32, count: Int) throws(Errno) -> Int {
        let nonBlocking: UInt = 2
        return try call(
            Int(SYS_splice), UInt(signed: source), 0, UInt(signed: target), 0, UInt(count), nonBlocking)
    }
}
