internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a process is beside its memory.
extension Planner {
    mutating func composeTask(_ index: Int, _ members: [Int32: Int]) {
        let task = images.tasks[index]
        if task.state == .dead { return composeZombie(index, members) }
        var rebuild = Batch()
        joinGroup(task, members, in: &rebuild)
        composeMemory(of: task, in: &rebuild)
        composeDirectories(task, in: &rebuild)
        composeDescriptors(index, in: &rebuild)
        composeActions(task, in: &rebuild)
        composeAttributes(task, in: &rebuild)
        plan.tasks[index].rebuild = placed(rebuild)

        // Threads come with the last batch: they wait on the channel that they share with the leader, and a command
        // for it would reach any of them. They come before the leader gives its capabilities up.
        var finish = Batch()
        composeThreads(index, in: &finish)
        composeTimers(task, in: &finish)
        composeThread(index, 0, in: &finish)
        drain(in: &finish)
        // Ignored, it would have its children's ends taken note of without a word, and zombies must stay zombies.
        composeActions(task, only: SIGCHLD, in: &finish)
        queue(task.task.signalsS, toProcess: task.pid, in: &finish)
        if let leader = task.threads.first { queue(leader, in: &finish, pid: task.pid) }
        plan.tasks[index].finish = placed(finish)

        var cleanup = Batch()
        cleanup.call(Int(SYS_close), .signed(plan.tasks[index].channel))
        // It stops itself as the last thing, whether Apus lives to see it or not.
        if plan.tasks[index].staysStopped {
            cleanup.call(Int(SYS_kill), .signed(task.pid), .int(Int(SIGSTOP)), for: "stop")
        }
        plan.tasks[index].cleanup = placed(cleanup)
    }

    private mutating func joinGroup(_ task: TaskImages, _ members: [Int32: Int], in batch: inout Batch) {
        // A session's leader is its group's for ever.
        guard session(of: task, members) != task.pid else { return }
        guard let group = group(of: task, members) else {
            return problems.append(
                Problem(
                    .sessionOutside, "the leader of its process group, \(task.processGroup), is not in the images",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore the images with CRIU; Apus cannot place such a process yet"))
        }
        batch.call(Int(SYS_setpgid), 0, .signed(group), for: "join process group \(group)")
    }

    /// A task that has ended and that its parent has not asked about: it ends here as it did there.
    private mutating func composeZombie(_ index: Int, _ members: [Int32: Int]) {
        let task = images.tasks[index]
        var batch = Batch()
        joinGroup(task, members, in: &batch)
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

    private mutating func composeDirectories(_ task: TaskImages, in batch: inout Batch) {
        guard let fs = task.fs else { return }
        if let root = images.files.regular(fs.rootID), root.path.string != "/",
            let descriptor = descriptor(.init(.reg, fs.rootID))
        {
            let dot = batch.string(Array(".".utf8))
            batch.call(Int(SYS_fchdir), .signed(descriptor), for: "go to its root directory \(root.path)")
            batch.call(Int(SYS_chroot), .address(dot), for: "change its root directory to \(root.path)")
        }
        if let descriptor = descriptor(.init(.reg, fs.cwdID)) {
            batch.call(
                Int(SYS_fchdir), .signed(descriptor),
                for: "go to its working directory \(images.files.regular(fs.cwdID)?.path.string ?? "")")
        }
        if fs.hasUmask { batch.call(Int(SYS_umask), .value(UInt64(fs.umask)), for: "set its umask") }
    }

    /// Every descriptor gets its number; whatever else the husk had is closed, but for the channel.
    private mutating func composeDescriptors(_ index: Int, in batch: inout Batch) {
        let task = images.tasks[index]
        var kept: [Int32] = [plan.tasks[index].channel]
        for entry in task.descriptors {
            let number = Int32(bitPattern: entry.fd)
            guard let source = descriptor(.init(entry.type, entry.id)) else { continue }
            kept.append(number)
            noteTerminal(entry, source)
            let flags = entry.flags & 1 == 0 ? 0 : UInt64(O_CLOEXEC)
            batch.call(
                Int(SYS_dup3), .signed(source), .signed(number), .value(flags), for: "open descriptor \(number)")
        }
        var first: UInt32 = 0
        for number in kept.sorted().map(UInt32.init) {
            if number > first {
                batch.call(
                    Int(SYS_close_range), .value(UInt64(first)), .value(UInt64(number - 1)), 0,
                    for: "close what is not its own")
            }
            first = number + 1
        }
        batch.call(
            Int(SYS_close_range), .value(UInt64(first)), .value(UInt64(UInt32.max)), 0, for: "close what is not its own"
        )
    }

    private mutating func noteTerminal(_ entry: FdinfoEntry, _ source: Int32) {
        guard entry.type == .tty, let file = images.files[entry], file.hasTty,
            let info = images.terminals[file.tty.ttyInfoID], !plan.terminals.contains(where: { $0.info.id == info.id })
        else { return }
        plan.terminals.append(.init(descriptor: source, info: info))
        let group = Int32(bitPattern: info.pgrp)
        if images.tasks.contains(where: { $0.processGroup == group && $0.pid == group }) { plan.foreground = group }
    }

    /// The handlers of all signals. SIGKILL and SIGSTOP have none, and the images leave them out.
    private func composeActions(_ task: TaskImages, only: Int32? = nil, in batch: inout Batch) {
        let entries = task.task.sigactions
        let numbers = (1...64).filter { entries.count > 62 || ($0 != Int(SIGKILL) && $0 != Int(SIGSTOP)) }
        for (number, entry) in zip(numbers, entries)
        where number != Int(SIGKILL) && number != Int(SIGSTOP)
            && (only == nil ? number != SIGCHLD : number == Int(only ?? 0))
        {
            var bytes: [UInt8] = []
            for value in [entry.sigaction, entry.flags, entry.restorer, entry.mask] {
                bytes.append(littleEndian: value)
            }
            let action = batch.buffer(bytes)
            batch.call(
                Int(SYS_rt_sigaction), .int(number), .address(action), 0, 8, for: "set the handler of signal \(number)")
        }
    }

    /// Registers the process for the expedited barriers of membarrier(2): each registration is the command of its bit.
    private func composeBarriers(_ core: TaskCoreEntry, in batch: inout Batch) {
        let registrations: UInt32 = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8
        for bit in 0..<32 where core.membarrierRegistrationMask & registrations & 1 << bit != 0 {
            batch.call(Int(SYS_membarrier), .int(1 << bit), 0, 0, for: "register it for memory barriers")
        }
    }

    private func composeAttributes(_ task: TaskImages, in batch: inout Batch) {
        let core = task.task
        let name = batch.string(core.commBytes)
        batch.call(Int(SYS_prctl), 15, .address(name), for: "name the process")
        if core.childSubreaper { batch.call(Int(SYS_prctl), 36, 1, for: "make it a child subreaper") }
        if task.memory?.thpDisabled == true { batch.call(Int(SYS_prctl), 41, 1, 0, 0, 0, for: "disable huge pages") }
        composeBarriers(core, in: &batch)
        batch.call(Int(SYS_personality), .value(UInt64(core.personality)), for: "set its personality")
        for (resource, limit) in core.rlimits.rlimits.enumerated() {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: limit.cur)
            bytes.append(littleEndian: limit.max)
            let value = batch.buffer(bytes)
            batch.call(
                Int(SYS_prlimit64), 0, .int(resource), .address(value), 0,
                for: "set resource limit \(resource) to \(limit.cur):\(limit.max)")
        }
    }

    private mutating func composeTimers(_ task: TaskImages, in batch: inout Batch) {
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
            for timer in timers { make(timer, number: timer.itID, in: &batch) }
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
        for id in 0...highest { make(wanted[id], number: id, in: &batch) }
    }

    /// Makes one timer, or a place holder that is deleted at once.
    private func make(_ entry: PosixTimerEntry?, number id: UInt32, in batch: inout Batch) {
        var event: [UInt8] = []
        event.append(littleEndian: entry?.sivalPtr ?? 0)
        event.append(littleEndian: entry?.siSigno ?? 0)
        // SIGEV_NONE for one that is only a place holder.
        event.append(littleEndian: entry?.itSigevNotify ?? 1)
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

    // MARK: Signals

    /// Takes away the SIGCHLD that the children of the husk have caused.
    private func drain(in batch: inout Batch) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(1) << UInt64(SIGCHLD - 1))
        let mask = batch.buffer(bytes)
        let now = batch.buffer([UInt8](repeating: 0, count: 16))
        batch.call(
            Int(SYS_rt_sigtimedwait), .address(mask), 0, .address(now), 8, expecting: Batch.anything,
            for: "take away SIGCHLD")
    }

    private func queue(_ signals: SignalQueueEntry, toProcess pid: Int32, in batch: inout Batch) {
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
}
