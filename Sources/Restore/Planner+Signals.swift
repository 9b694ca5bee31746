internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What signals do, and those that wait.
extension Planner {
    /// The handlers of all signals. SIGKILL and SIGSTOP have none, and the images leave them out.
    func composeActions(_ task: TaskImages, only: Int32? = nil, in batch: inout Batch) {
        let entries = task.task.sigactions
        let numbers = (1...64).filter { entries.count > 62 || ($0 != Int(SIGKILL) && $0 != Int(SIGSTOP)) }
        for (number, entry) in zip(numbers, entries)
        where number != Int(SIGKILL) && number != Int(SIGSTOP)
            && (only == nil ? number != SIGCHLD : number == Int(only ?? 0))
        {
            if entry.compatSigaction {
                composeCompatAction(number, entry, in: &batch)
                continue
            }
            var bytes: [UInt8] = []
            for value in [entry.sigaction, entry.flags, entry.restorer, entry.mask] {
                bytes.append(littleEndian: value)
            }
            let action = batch.buffer(bytes)
            batch.call(
                Int(SYS_rt_sigaction), .int(number), .address(action), 0, 8, for: "set the handler of signal \(number)")
        }
    }

    /// Takes away the SIGCHLD that the children of the husk have caused.
    func drain(in batch: inout Batch) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(1) << UInt64(SIGCHLD - 1))
        let mask = batch.buffer(bytes)
        let now = batch.buffer([UInt8](repeating: 0, count: 16))
        batch.call(
            Int(SYS_rt_sigtimedwait), .address(mask), 0, .address(now), 8, expecting: Batch.anything,
            for: "take away SIGCHLD")
    }

    func queue(_ signals: SignalQueueEntry, toProcess pid: Int32, in batch: inout Batch) {
        for signal in signals.signals where signal.bytes.count >= 16 {
            let block = batch.buffer(signal.bytes)
            let number = signal.bytes.littleEndian(UInt32.self, at: 0)
            batch.call(
                Int(SYS_rt_sigqueueinfo), .signed(pid), .value(UInt64(number)), .address(block),
                for: "queue signal \(number) to the process")
        }
    }

    func queue(_ thread: ThreadImages, in batch: inout Batch, pid: Int32) {
        for signal in thread.core.threadCore.signalsP.signals where signal.bytes.count >= 16 {
            let block = batch.buffer(signal.bytes)
            let number = signal.bytes.littleEndian(UInt32.self, at: 0)
            batch.call(
                Int(SYS_rt_tgsigqueueinfo), .signed(pid), .signed(thread.tid), .value(UInt64(number)),
                .address(block), for: "queue signal \(number) to thread \(thread.tid)")
        }
    }

    // MARK: The limit of signals that wait

    private static let signalLimit = 11  // RLIMIT_SIGPENDING

    /// A program may lower its limit below the number of the signals that wait for it: so it comes when they do.
    func comesLater(_ resource: Int, _ task: TaskImages) -> Bool {
        guard resource == Self.signalLimit else { return false }
        return !task.task.signalsS.signals.isEmpty
            || task.threads.contains { !$0.core.threadCore.signalsP.signals.isEmpty }
    }

    /// - Parameter batch: the last one of a task.
    func composeSignalLimit(_ task: TaskImages, in batch: inout Batch) {
        let limits = task.task.rlimits.rlimits
        guard limits.indices.contains(Self.signalLimit), comesLater(Self.signalLimit, task) else { return }
        composeLimit(Self.signalLimit, limits[Self.signalLimit], in: &batch)
    }
}
