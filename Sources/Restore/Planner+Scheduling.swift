internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// When and where a thread runs.
extension Planner {
    /// - Parameter more: what the images have no place for.
    func composeScheduling(_ core: ThreadCoreEntry, _ more: Processes.Scheduling?, in batch: inout Batch) {
        if let more {
            // Policies, flags and bounds that a kernel does not know are refused: without them the thread would run
            // as nobody has asked for.
            let attributes = batch.buffer(more.bytes)
            batch.call(
                Int(SYS_sched_setattr), 0, .address(attributes), 0,
                for: "set scheduling policy \(more.policy), flags \(more.flags)")
            return
        }
        // Also what is the default: Apus itself may have been started with another.
        if core.hasSchedPolicy {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: core.schedPrio)
            let parameter = batch.buffer(bytes)
            batch.call(
                Int(SYS_sched_setscheduler), 0, .value(UInt64(core.schedPolicy)), .address(parameter),
                for: "set scheduling policy \(core.schedPolicy), priority \(core.schedPrio)")
        }
        if core.hasSchedNice {
            batch.call(
                Int(SYS_setpriority), 0, 0, .signed(core.schedNice), for: "set its nice value to \(core.schedNice)")
        }
    }
}
