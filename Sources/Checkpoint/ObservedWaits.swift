internal import CLinux
internal import Linux
internal import Objects
internal import Tracing

/// Threads that wait in system calls with a time limit, and for how long they have, as seen while the tree still runs.
///
/// The freeze interrupts such a call, and nothing tells afterwards when it began. But the scheduler notes when a thread last ran
/// (``SchedulerRecord``): a thread that is in a call now and has not run since then has waited that long. By the clock of the
/// processor on which it went to sleep, which leaves out some time, so that it may have waited a little longer than that and
/// never less. A thread that ran meanwhile, because it was stopped or its wait was shared with others, is taken to have begun
/// then. On kernels that do not show this, nothing is known of any wait.
struct ObservedWaits {
    /// A thread in its call.
    private struct Seen {
        let number: Int64
        let arguments: [UInt64]
        let instructionPointer: UInt64
        /// How often it had gone to sleep by then.
        let switches: UInt64
        let processor: Int32
        let lastRun: UInt64
        /// In nanoseconds.
        var waited: UInt64 = 0
    }

    private var seen: [Int32: Seen] = [:]

    init() {}

    /// Looks at all threads of processes that run.
    init(_ processes: [SurveyedProcess]) {
        for process in processes where !process.isZombie {
            for thread in process.threads {
                if let one = Self.look(at: ProcessDirectory(process.pid, thread: thread)) { seen[thread] = one }
            }
        }
        measure()
    }

    private static func look(at thread: ProcessDirectory) -> Seen? {
        guard case .call(let number, let arguments, _, let ip)? = try? thread.blockedCall(),
            InterruptedWait.mayBeLimited(call: number, arguments), let record = try? thread.schedulerRecord(),
            let processor = try? thread.stat().processor
        else { return nil }
        return Seen(
            number: number, arguments: arguments, instructionPointer: ip, switches: record.voluntarySwitches,
            processor: processor, lastRun: record.lastRun)
    }

    /// Finds out how long ago each last ran.
    private mutating func measure() {
        guard !seen.isEmpty, let before = try? Processes.affinity(of: 0) else { return seen = [:] }
        defer { try? Processes.setAffinity(before) }
        for processor in Set(seen.values.map(\.processor)) {
            let now = Processes.schedulerTime(onProcessor: processor)
            for (tid, one) in seen where one.processor == processor {
                seen[tid]?.waited = now.map { $0 > one.lastRun ? $0 - one.lastRun : 0 } ?? 0
            }
        }
    }

    /// How long a frozen thread had waited in the call that the freeze has interrupted: nil where it is another call
    /// than was seen.
    ///
    /// To be asked before the thread is borrowed. It has gone to sleep once more since it was seen, when it stopped: one that
    /// has done so twice may have made the same call anew.
    func waited(_ thread: Tracee) -> UInt64? {
        let registers = thread.registers
        guard let one = seen[thread.tid], one.waited > 0, one.number == Int64(bitPattern: registers.orig_rax),
            one.instructionPointer == registers.rip,
            one.arguments == [
                registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9,
            ]
        else { return nil }
        // Not from `status`, which is longer: the tree stands still meanwhile.
        let record = try? ProcessDirectory(thread.pid, thread: thread.tid).schedulerRecord()
        return record?.voluntarySwitches == one.switches + 1 ? one.waited : nil
    }
}
