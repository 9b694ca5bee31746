internal import CLinux
public import SystemPackage

/// What became of a child or a tracee: the status word of wait4(2), decoded.
public enum WaitStatus: Sendable, Hashable {
    case exited(code: Int32)
    case killed(signal: Int32, dumpedCore: Bool)
    /// Stopped. `event` is the ptrace event (PTRACE_EVENT_*) in bits 16 and up of the status word, 0 for none.
    case stopped(signal: Int32, event: Int32)
    case continued

    /// Decodes the word; nil for one that the kernel never makes.
    public init?(word: Int32) {
        let low = word & 0x7f
        switch word & 0xff {
        case 0: self = .exited(code: (word >> 8) & 0xff)
        case 0x7f: self = .stopped(signal: (word >> 8) & 0xff, event: word >> 16)
        default:
            if word == 0xffff {
                self = .continued
            } else if low != 0x7f {
                self = .killed(signal: low, dumpedCore: word & 0x80 != 0)
            } else {
                return nil
            }
        }
    }

    /// The word that wait4(2) would give, as image files and exit codes keep it.
    public var word: Int32 {
        switch self {
        case .exited(let code): (code & 0xff) << 8
        case .killed(let signal, let dumpedCore): signal | (dumpedCore ? 0x80 : 0)
        case .stopped(let signal, let event): event << 16 | signal << 8 | 0x7f
        case .continued: 0xffff
        }
    }
}

extension Processes {
    /// Options of wait4(2) and waitid(2).
    public struct WaitOptions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// WNOHANG: do not wait.
        public static let noHang = WaitOptions(rawValue: 0x1)
        /// WUNTRACED, WSTOPPED.
        public static let stopped = WaitOptions(rawValue: 0x2)
        /// WEXITED, of waitid only.
        public static let exited = WaitOptions(rawValue: 0x4)
        public static let continued = WaitOptions(rawValue: 0x8)
        /// WNOWAIT, of waitid only: leave the child in its state.
        public static let keep = WaitOptions(rawValue: 0x0100_0000)
        /// __WALL: children of every kind. Always needed for tracees that are threads.
        public static let all = WaitOptions(rawValue: 0x4000_0000)
    }

    /// A child that changed its state.
    public struct Waited: Sendable, Hashable {
        public var pid: Int32
        public var status: WaitStatus

        public init(pid: Int32, status: WaitStatus) {
            self.pid = pid
            self.status = status
        }
    }

    /// wait4(2).
    ///
    /// - Parameter pid: a child or tracee; -1 for any; a process group where less than that.
    /// - Returns: nil with `noHang` when nothing has happened.
    /// - Throws: ECHILD when there is nothing to wait for; EINTR unless `retrying`.
    public static func wait(
        for pid: Int32 = -1, _ options: WaitOptions = .all, retrying: Bool = true
    ) throws(Errno) -> Waited? {
        var word: Int32 = 0
        let pid = try withAddress(of: &word) {
            outcome(
                of: Int(SYS_wait4), UInt(signed: pid), $0, UInt(options.rawValue), 0, retrying: retrying)
        }
        guard pid > 0, let status = WaitStatus(word: word) else { return nil }
        return Waited(pid: Int32(pid), status: status)
    }

    /// waitid(2) with P_PID, or with P_ALL for a `pid` of -1.
    ///
    /// - Returns: nil with `noHang` when nothing has happened.
    public static func waitID(
        for pid: Int32 = -1, _ options: WaitOptions = [.exited, .all], retrying: Bool = true
    ) throws(Errno) -> Waited? {
        try waitID(kind: pid == -1 ? 0 : 1, id: pid == -1 ? 0 : pid, options, retrying: retrying)
    }

    /// waitid(2) with P_PIDFD, since Linux 5.4.
    public static func waitID(
        pidfd: Int32, _ options: WaitOptions = [.exited, .all], retrying: Bool = true
    ) throws(Errno) -> Waited? {
        try waitID(kind: 3, id: pidfd, options, retrying: retrying)
    }

    private static func waitID(
        kind: UInt, id: Int32, _ options: WaitOptions, retrying: Bool
    ) throws(Errno) -> Waited? {
        var raw = apus_child_info()
        _ = try withAddress(of: &raw) {
            outcome(
                of: Int(SYS_waitid), kind, UInt(signed: id), $0, UInt(options.rawValue), 0, retrying: retrying)
        }
        guard raw.pid > 0, let status = WaitStatus(raw) else { return nil }
        return Waited(pid: raw.pid, status: status)
    }
}

extension WaitStatus {
    /// From si_code (CLD_*) and si_status of waitid(2).
    fileprivate init?(_ raw: apus_child_info) {
        switch raw.code {
        case 1: self = .exited(code: raw.status)
        case 2: self = .killed(signal: raw.status, dumpedCore: false)
        case 3: self = .killed(signal: raw.status, dumpedCore: true)
        // A trapped tracee (4) and a stopped child (5).
        case 4, 5: self = .stopped(signal: raw.status & 0xff, event: raw.status >> 8)
        case 6: self = .continued
        default: return nil
        }
    }
}
