internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Processes that have ended and that nobody has asked about yet.
extension Planner {
    /// A task that has ended and that its parent has not asked about: it ends here as it did there.
    mutating func composeZombie(_ index: Int) {
        let task = images.tasks[index]
        var batch = Batch()
        composeArrival(index, in: &batch)
        let name = batch.string(task.task.commBytes)
        batch.call(Int(SYS_prctl), 15, .address(name), for: "name the process")
        let status = task.task.exitCode
        if status & 0x7f == 0 {
            batch.call(Int(SYS_exit_group), .value(UInt64(status >> 8)), for: "end with status \(status >> 8)")
        } else {
            // No core file may be written a second time.
            let limits = batch.buffer([UInt8](repeating: 0, count: 16))
            batch.call(Int(SYS_prlimit64), 0, .int(4), .address(limits), 0)
            let mask = batch.buffer([UInt8](repeating: 0, count: 8))
            // Apus may have been started with the signal ignored (nohup).
            let action = batch.buffer([UInt8](repeating: 0, count: 32))
            batch.call(
                Int(SYS_rt_sigaction), .value(UInt64(status & 0x7f)), .address(action), 0, 8,
                expecting: Batch.anything)
            batch.call(Int(SYS_kill), .signed(task.pid), .value(UInt64(status & 0x7f)))
            batch.call(Int(SYS_rt_sigprocmask), 2, .address(mask), 0, 8, for: "end by signal \(status & 0x7f)")
        }
        plan.tasks[index].rebuild = placed(batch)
        plan.tasks[index].finish = placed(Batch())
        plan.tasks[index].cleanup = placed(Batch())
    }
}
