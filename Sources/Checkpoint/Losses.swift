internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Logging
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// Settings that the images have no place for, and that a restored process does without: small enough not to refuse
/// the dump for them, and never passed over in silence.
enum Losses {
    /// Names what a process will lack.
    ///
    /// - Parameters:
    ///   - locks: all that are held, `LockObstacles.held()`.
    ///   - skipping: TCP connections that wait to be accepted are broken off.
    static func report(_ process: SurveyedProcess, locks: [FileLock], skipping: Bool, _ logger: Logger) {
        for loss in find(process, locks: locks, skipping: skipping) {
            logger.warning("\(process.object.description): \(loss)")
        }
    }

    /// In milliseconds; nil for none. What a process that has ended has used cannot be used up once more.
    private static func usedTime(_ stat: TaskStat) -> UInt64? {
        let children = UInt64(max(stat.childrenUserTime, 0)) &+ UInt64(max(stat.childrenSystemTime, 0))
        let ticks = stat.userTime &+ stat.systemTime &+ children
        // USER_HZ is 100 on all architectures that Apus knows.
        return ticks == 0 ? nil : ticks &* 10
    }

    /// Overruns of POSIX timers (timer_getoverrun(2)), which the kernel counts for itself and takes from nobody.
    ///
    /// - Parameter pending: what waits for the process or one of its threads, each a siginfo_t.
    static func overruns(of timers: [PosixTimerEntry], pending: [[UInt8]]) -> [String] {
        var found: [String] = []
        for timer in timers where timer.overrun > 0 {
            found.append(
                "the \(timer.overrun) overruns of its POSIX timer \(timer.itID) (timer_getoverrun(2)) are not carried")
        }
        let (fromTimer, number, code): (Int32, Int, Int) = (-2, 16, 8)  // SI_TIMER, si_tid, si_code
        let waiting = Set(
            pending.filter { $0.count >= 20 && $0.littleEndian(Int32.self, at: code) == fromTimer }
                .map { $0.littleEndian(UInt32.self, at: number) })
        for timer in timers where waiting.contains(timer.itID) && (timer.isec != 0 || timer.insec != 0) {
            found.append(
                "the signal of its POSIX timer \(timer.itID) waits unread: how often it has gone off since is not carried"
            )
        }
        return found
    }

    /// System calls that are dispatched to a program itself, where the kernel tells nobody of it: only who catches SIGSYS can have that.
    static func dispatch(of process: FrozenProcess, _ actions: SignalActions) -> [String] {
        guard process.threads.contains(where: \.hidesDispatch), actions.catches(SIGSYS) else { return [] }
        return [
            "it catches SIGSYS: were its system calls dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH), which this kernel"
                + " (before Linux 6.4) tells nobody, they would be no more"
        ]
    }

    static func find(_ process: SurveyedProcess, locks: [FileLock], skipping: Bool) -> [String] {
        var found: [String] = []
        if process.isZombie {
            let dumpedCore = process.stat.exitCode & 0x7f != 0 && process.stat.exitCode & 0x80 != 0
            if dumpedCore { found.append("that its end has left a core dump (WCOREDUMP) is not carried") }
            if let time = usedTime(process.stat) {
                found.append(
                    "the \(time) ms of processor time that it and its children have used, which its parent would be told"
                        + " (wait4(2)), are not carried")
            }
            return found
        }
        found += process.descriptors.compactMap {
            DatagramSocket.loss(of: $0) ?? (skipping ? InetSocket.loss(of: $0) : nil) ?? RawSocket.loss(of: $0)
                ?? PacketSocket.loss(of: $0)
        }
        found += LockObstacles.losses(of: process, among: locks)
        let unknown = Set(process.areas.flatMap { area, _ in area.details?.unknownFlags ?? [] }).sorted()
        if !unknown.isEmpty {
            found.append("some mappings have flags that this Apus does not know: \(unknown.joined(separator: " "))")
        }
        if process.areas.contains(where: { $0.kind == .asyncIO }) {
            found.append(
                "requests of asynchronous I/O that wait for something (IOCB_CMD_POLL) are not carried, and the kernel"
                    + " shows nobody whether there are any")
        }
        return found
    }
}
