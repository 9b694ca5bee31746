internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import Tracing

/// What the format of the images has no place for and the supplement tells. A host that refuses one of these can still
/// run the program: it is told what the program does without.
extension Planner {
    // MARK: Threads

    /// How a thread runs: before it gives its rights up.
    mutating func composeThreadSettings(_ thread: ThreadImages, in batch: inout Batch) {
        let settings = ThreadSettings(images.supplement[.thread, thread.tid])
        composeProcessors(settings.processors, of: thread.tid, in: &batch)
        composeScheduling(thread.core.threadCore, settings.scheduling, in: &batch)
        composeMemoryPolicy(of: thread.tid, in: &batch)
        // PR_SET_TIMERSLACK; real-time threads have none, and the call does nothing for them.
        let slack = settings.timerSlack ?? ThreadSettings.usualSlack
        prctl(29, slack, expecting: Batch.anything, for: "set the slack of its timers to \(slack) ns", in: &batch)
        if let priority = settings.ioPriority {
            let ofProcess: Batch.Argument = 1
            batch.call(
                Int(SYS_ioprio_set), ofProcess, 0, .signed(priority), for: "set its I/O priority",
                losing: "thread \(thread.tid) has not its I/O priority (\(priority >> 13):\(priority & 7))")
        }
        if let personality = settings.personality {
            batch.call(Int(SYS_personality), .value(UInt64(personality)), for: "set the thread's personality")
        }
        if settings.isIOFlusher {
            prctl(57, 1, losing: "thread \(thread.tid) is no longer an I/O flusher (PR_SET_IO_FLUSHER)", in: &batch)
        }
        if let policy = settings.machineCheckKill {
            let set: UInt64 = 1
            prctl(
                33, set, UInt64(UInt32(bitPattern: policy)),
                losing: "thread \(thread.tid) has not its PR_MCE_KILL policy", in: &batch)
        }
        for (misfeature, setting) in settings.speculation.sorted(by: { $0.key < $1.key }) {
            prctl(
                53, UInt64(misfeature), setting & ~1,
                losing: "thread \(thread.tid) has not its setting of speculation misfeature \(misfeature)", in: &batch)
        }
        if settings.hasNoCPUID {
            let setCPUID = 0x1012
            batch.call(
                Int(SYS_arch_prctl), .int(setCPUID), 0, for: "forbid it CPUID",
                losing: "thread \(thread.tid) may ask the processor for its features (ARCH_SET_CPUID)")
        }
        if let counter = settings.timeStampCounter {
            prctl(
                26, UInt64(UInt32(bitPattern: counter)),
                losing: "thread \(thread.tid) may read the time stamp counter (PR_SET_TSC)", in: &batch)
        }
    }

    /// A thread that was bound is bound again; all others may run everywhere, wherever Apus itself may run. Images of
    /// others do not say.
    private mutating func composeProcessors(_ wanted: [UInt8]?, of tid: Int32, in batch: inout Batch) {
        guard images.manifest != nil || wanted != nil else { return }
        // As many as the kernel has room for, in whole words.
        var mask = [UInt8](repeating: 0xff, count: (host.processors.count + 7) & ~7)
        if let wanted {
            let here = ProcessorMask.common(wanted, host.processors)
            if here == wanted {
                mask = wanted
            } else if here.contains(where: { $0 != 0 }) {
                mask = here
                note(
                    "thread \(tid) was bound to the processors \(ProcessorMask.text(wanted)), and is bound to those of"
                        + " them that this host has, \(ProcessorMask.text(here))")
            } else {
                note(
                    "thread \(tid) was bound to the processors \(ProcessorMask.text(wanted)), none of which this host"
                        + " has, and may run on all")
            }
        }
        mask += [UInt8](repeating: 0, count: (8 - mask.count % 8) % 8)
        let block = batch.buffer(mask)
        let purpose = "bind it to processors"
        if let wanted {
            batch.call(
                Int(SYS_sched_setaffinity), 0, .int(mask.count), .address(block), for: purpose,
                losing: "thread \(tid) is not bound to the processors \(ProcessorMask.text(wanted))")
        } else {
            batch.call(
                Int(SYS_sched_setaffinity), 0, .int(mask.count), .address(block), expecting: Batch.anything,
                for: purpose)
        }
    }

    mutating func note(_ text: String) {
        if !plan.notes.contains(text) { plan.notes.append(text) }
    }

    // MARK: Processes

    /// What is set from outside, and whether the first thread lives.
    mutating func noteSettings(of task: TaskImages, _ index: Int) {
        let settings = ProcessSettings(images.supplement[.process, task.pid])
        plan.tasks[index].leaderEnds = task.hasLostLeader
        plan.tasks[index].autogroupNice = settings.autogroupNice
        // Images of others do not say.
        if images.manifest != nil || settings.coreDumpFilter != nil {
            plan.tasks[index].coreDumpFilter = settings.coreDumpFilter ?? ProcessSettings.usualCoreDumpFilter
        }
    }

    /// What concerns memory, and needs rights.
    func composeMemorySettings(_ task: TaskImages, in batch: inout Batch) {
        let settings = ProcessSettings(images.supplement[.process, task.pid])
        if let hugePages = settings.hugePages {
            prctl(
                41, 1, UInt64(hugePages & ~1), losing: "it may use huge pages nowhere at all (PR_SET_THP_DISABLE)",
                in: &batch)
        }
        if let bits = settings.tagBits {
            // Only a process that never had a second thread may.
            let enable = 0x4002  // ARCH_ENABLE_TAGGED_ADDR
            batch.call(
                Int(SYS_arch_prctl), .int(enable), .int(bits),
                for: "let it use tagged pointers (LAM), which this processor has to have")
        }
        if settings.mergesMemory {
            prctl(67, 1, losing: "its memory is no longer merged as a whole (PR_SET_MEMORY_MERGE)", in: &batch)
        }
    }

    /// What a process may use.
    func composeProcessSettings(_ task: TaskImages, in batch: inout Batch) {
        let settings = ProcessSettings(images.supplement[.process, task.pid])
        for feature in 0..<64 where settings.requestedFeatures & 1 << UInt64(feature) != 0 {
            let askFor = 0x1023  // ARCH_REQ_XCOMP_PERM
            batch.call(
                Int(SYS_arch_prctl), .int(askFor), .int(feature),
                for: "allow it XSAVE feature \(feature), which this processor has to have")
        }
    }

    /// What would have forbidden Apus to make it.
    func composeDenials(_ task: TaskImages, in batch: inout Batch) {
        let settings = ProcessSettings(images.supplement[.process, task.pid])
        guard let denial = settings.denyWriteExecute else { return }
        // Not a loss but a protection: a host that cannot give it must not run the program without it.
        prctl(65, UInt64(denial), for: "forbid it to make memory executable (PR_SET_MDWE)", in: &batch)
    }

    /// The login that it belongs to: while the files of `/proc` are there.
    func composeLogin(_ task: TaskImages, in batch: inout Batch) {
        let login = task.task.hasLoginuid ? task.task.loginuid : UInt32.max
        guard login != host.loginUser else { return }
        write(
            login == .max ? "-1" : "\(login)", to: "/proc/self/loginuid", for: "set the user of its login",
            losing: "the user of its login (loginuid) is \(host.loginUser) and not \(login)", in: &batch)
    }

    /// Has the task write into a file.
    func write(
        _ text: String, to path: String, for purpose: String, losing loss: String?, in batch: inout Batch
    ) {
        let name = batch.string(Array(path.utf8))
        let bytes = batch.buffer(Array(text.utf8))
        let here: Batch.Argument = .signed(AT_FDCWD)
        let file = batch.call(
            Int(SYS_openat), here, .address(name), .int(Int(O_WRONLY | O_CLOEXEC)), for: purpose, losing: loss)
        batch.call(Int(SYS_write), .result(file), .address(bytes), .int(bytes.count), for: purpose, losing: loss)
        batch.call(Int(SYS_close), .result(file), expecting: Batch.anything)
    }

    private func prctl(
        _ option: Int, _ first: UInt64, _ second: UInt64 = 0, expecting: ClosedRange<Int64> = Batch.success,
        for purpose: String = "make a setting", losing loss: String? = nil, in batch: inout Batch
    ) {
        batch.call(
            Int(SYS_prctl), .int(option), .value(first), .value(second), 0, 0, expecting: expecting, for: purpose,
            losing: loss)
    }
}
