internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Timers that send signals.
extension Planner {
    mutating func composeTimers(_ task: TaskImages, in batch: inout Batch) {
        let timers = task.task.timers
        for (kind, timer) in [timers.real, timers.virt, timers.prof].enumerated()
        where timer.vsec != 0 || timer.vusec != 0 {
            var bytes: [UInt8] = []
            for value in [timer.isec, timer.iusec, timer.vsec, timer.vusec] { bytes.append(littleEndian: value) }
            let value = batch.buffer(bytes)
            batch.call(Int(SYS_setitimer), .int(kind), .address(value), 0, for: "set interval timer \(kind)")
        }
        composePosixTimers(task, in: &batch)
    }

    /// Timers get their numbers by PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15). Before, the kernel numbers the timers of
    /// a new process from 0 on: each gets its number when those below have been made, and the ones that the program
    /// had deleted are deleted again.
    private mutating func composePosixTimers(_ task: TaskImages, in batch: inout Batch) {
        let timers = task.task.timers.posix
        guard let highest = timers.map(\.itID).max() else { return }
        let chooseNumbers = 77
        if host.choosesTimerNumbers {
            batch.call(Int(SYS_prctl), .int(chooseNumbers), 1, 0, 0, 0, for: "choose the numbers of timers")
            for timer in timers { make(timer, of: task, number: timer.itID, in: &batch) }
            batch.call(Int(SYS_prctl), .int(chooseNumbers), 0, 0, 0, 0)
            return
        }
        guard highest < 4096 else {
            return problems.append(
                Problem(
                    .objectUnsupported,
                    "it has a POSIX timer numbered \(highest), which this kernel cannot be told to give",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore it on Linux 6.15 or later"))
        }
        let wanted = Dictionary(timers.map { ($0.itID, $0) }) { first, _ in first }
        for id in 0...highest { make(wanted[id], of: task, number: id, in: &batch) }
    }

    private func isAlive(_ tid: Int32, in task: TaskImages) -> Bool {
        task.threads.dropFirst(task.hasLostLeader ? 1 : 0).contains { $0.tid == tid }
    }

    /// Makes one timer, or a place holder that is deleted at once.
    private func make(_ entry: PosixTimerEntry?, of task: TaskImages, number id: UInt32, in batch: inout Batch) {
        // SIGEV_NONE: for one that is only a place holder, and for one that signals a thread which has ended. It signals nobody,
        // but its time can be read.
        let none: UInt32 = 1
        var notify = entry?.itSigevNotify ?? none
        if let entry, notify & 4 != 0, !isAlive(entry.notifyThreadID, in: task) { notify = none }
        var event: [UInt8] = []
        event.append(littleEndian: entry?.sivalPtr ?? 0)
        event.append(littleEndian: entry?.siSigno ?? 0)
        event.append(littleEndian: notify)
        event.append(littleEndian: entry?.notifyThreadID ?? 0)
        event += [UInt8](repeating: 0, count: 64 - event.count)
        let block = batch.buffer(event)
        var wanted: [UInt8] = []
        wanted.append(littleEndian: id)
        let number = batch.buffer(wanted)
        batch.call(
            Int(SYS_timer_create), .value(UInt64(entry?.clockID ?? 1)), .address(block), .address(number),
            for: "make POSIX timer \(id)")
        guard let entry else {
            batch.call(Int(SYS_timer_delete), .int32(number), for: "delete POSIX timer \(id)")
            return
        }
        var times: [UInt8] = []
        for value in [entry.isec, entry.insec, entry.vsec, entry.vnsec] { times.append(littleEndian: value) }
        let value = batch.buffer(times)
        batch.call(Int(SYS_timer_settime), .int32(number), 0, .address(value), 0, for: "arm POSIX timer \(id)")
    }
}
