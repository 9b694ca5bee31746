internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import Tracing

/// Who makes whom, in which session and group.
extension Planner {
    mutating func composeTasks() {
        guard arrangeFamily() else { return }
        plan.first = family.first
        openSegments()
        arrangeSharing()
        for process in family.processes.indices { begin(process) }
        joinCounts()
        ways = images.tasks.map { WaysOut($0, leave: wayOut(of: $0), keyed: keyed(of: $0), beside: wholeArea) }
        findInheritance()
        findEarlyMemory()
        for process in family.processes.indices { composeFamily(process) }
        for index in images.tasks.indices { composeTask(index) }
        for helper in family.processes.indices.dropFirst(images.tasks.count) { composeHelper(helper) }
        composeAdoptions()
        openWhatIsUnderWay()
    }

    /// - Returns: false where some cannot be placed; the problems say which.
    private mutating func arrangeFamily() -> Bool {
        let pids = Set(images.tasks.map(\.pid))
        guard let root = images.root else { return false }
        refuseWithoutTerminal(root, pids)
        let members = images.tasks.map { task in
            // The caller's session and group take the place of the root's, where those are those of a terminal.
            let joinsCaller = shellJob && !pids.contains(root.session) && task.session == root.session
            let joinsCallersGroup =
                joinsCaller && !pids.contains(task.processGroup) && task.processGroup == root.processGroup
            return Family.Member(
                pid: task.pid, parent: task.parent, group: joinsCallersGroup ? Family.callers : task.processGroup,
                session: joinsCaller ? Family.callers : task.session, hasEnded: task.state == .dead)
        }
        do throws(Family.Misfits) {
            family = try Family(arranging: members)
            return true
        } catch {
            for misfit in error.all {
                problems.append(
                    Problem(
                        .sessionOutside, misfit.reason,
                        object: .init(pid: misfit.pid, process: images.task(misfit.pid)?.task.commText),
                        remedy: "Restore the images with CRIU; Apus cannot place such a process"))
            }
            return false
        }
    }

    /// A tree that has a terminal whose session is outside is a job: it needs another terminal's session to join.
    private mutating func refuseWithoutTerminal(_ root: TaskImages, _ pids: Set<Int32>) {
        guard !shellJob, !pids.contains(root.session),
            images.terminals.values.contains(where: { Int32(bitPattern: $0.sid) == root.session })
        else { return }
        problems.append(
            Problem(
                .sessionOutside, "the leader of its session, \(root.session), is not in the images",
                object: .init(pid: root.pid, process: root.task.commText),
                remedy: "Restore with --shell-job from the terminal that it is to join"))
    }

    /// Takes numbers and places for a task, so that its maker can name them.
    private mutating func begin(_ index: Int) {
        let process = family.processes[index]
        let task = images.tasks.indices.contains(index) ? images.tasks[index] : nil
        let pid = process.pid ?? takePid()
        let channelPlace = takeRoom(8)
        let tids = task.map { $0.threads.isEmpty ? [pid] : $0.threads.map(\.tid) } ?? [pid]
        let threads = tids.map { tid in
            RestorePlan.Thread(
                tid: tid, controlPlace: takeRoom(ControlBlock.size), batch: .init(), frame: RemoteAddress(0),
                leave: RemoteAddress(0))
        }
        let state = task?.state ?? .dead
        plan.tasks.append(
            RestorePlan.Task(
                pid: pid, parent: process.parent, name: task?.task.commText ?? "helper", state: state,
                channel: takeDescriptor(), channelPlace: channelPlace, usersPlace: channelPlace + 4, threads: threads,
                family: .init(), rebuild: .init(), finish: .init(), cleanup: .init(),
                staysStopped: state == .stopped || (leavesStopped && state == .alive),
                outOfMemoryAdjustment: task?.task.oomScoreAdj ?? 0))
        plan.tasks[index].maker = process.maker
        plan.tasks[index].sharedWithMaker = sharedWithMaker(index)
        if exitSignalFromMaker(index) ?? wantedSignal(index) != wantedSignal(index) {
            problems.append(
                Problem(
                    .objectUnsupported,
                    "its end is to be told by signal \(wantedSignal(index)), and its parent cannot make it itself",
                    object: .init(pid: pid, process: task?.task.commText),
                    remedy: "End it before the dump"))
        }
        plan.tasks[index].isHelper = process.role != .member
        plan.tasks[index].endsLast = process.joinsLast && state == .dead
        plan.tasks[index].isCourier = process.role == .courier
        if let task { noteSettings(of: task, index) }
    }

    /// The signal that is to tell a parent of the end of a process.
    private func wantedSignal(_ index: Int) -> Int32 {
        ExitSignal.of(family.processes[index].pid ?? 0, images.supplement)
    }

    /// The signal that a process gets without being asked: a sibling that of its maker, an orphan SIGCHLD; nil for one that
    /// its parent makes itself.
    private func exitSignalFromMaker(_ index: Int) -> Int32? {
        let process = family.processes[index]
        guard let maker = process.maker, process.isSibling || maker != process.parent else { return nil }
        return process.isSibling ? wantedSignal(maker) : SIGCHLD
    }

    /// A pid for a process that lives for a moment only, as far as can be from those that are in use.
    private mutating func takePid() -> Int32 {
        let taken = Set(
            images.tasks.flatMap { task in [task.pid, task.processGroup, task.session] + task.threads.map(\.tid) }
                + plan.tasks.map(\.pid)
        ).union(host.pidsInUse)
        var pid = host.pidLimit - 1
        while taken.contains(pid) { pid -= 1 }
        return pid
    }

    private mutating func composeFamily(_ index: Int) {
        let process = family.processes[index]
        let pid = plan.tasks[index].pid
        var batch = Batch()
        if index == family.first { openKeys(in: &batch) }
        composeInheritance(index, in: &batch)
        shareEarlyMemory(index, with: nil, false, in: &batch)
        for child in process.early { clone(child, of: index, in: &batch) }
        if process.beginsSession {
            batch.call(Int(SYS_setsid), for: "begin session \(pid)")
            composeControllingTerminal(index, in: &batch)
        }
        if process.beginsGroup { batch.call(Int(SYS_setpgid), 0, 0, for: "begin process group \(pid)") }
        for child in process.late { clone(child, of: index, in: &batch) }
        holdDescribedNumbers(of: pid, in: &batch)
        plan.tasks[index].family = placed(batch)
    }

    /// Adds the making of a child, with its own pid.
    private func clone(_ child: Int, of index: Int, in batch: inout Batch) {
        shareEarlyMemory(index, with: child, true, in: &batch)
        defer { shareEarlyMemory(index, with: child, false, in: &batch) }
        let task = plan.tasks[child]
        let isSibling = family.processes[child].isSibling
        let cloneParent: UInt64 = 0x8000
        // With CLONE_PARENT it has the exit signal of its maker, and clone3 wants none named.
        addClone(
            of: task.pid, flags: (isSibling ? cloneParent : 0) | sharingFlags(of: child),
            exitSignal: isSibling ? 0 : UInt64(ExitSignal.of(task.pid, images.supplement)),
            control: address(task.threads[0].controlPlace),
            purpose: "make process \(task.pid) (\(task.name))" + (isSibling ? " as a sibling" : ""), in: &batch)
    }

    func addClone(
        of tid: Int32, flags: UInt64, exitSignal: UInt64, control: RemoteAddress, purpose: String,
        in batch: inout Batch
    ) {
        var wanted: [UInt8] = []
        wanted.append(littleEndian: tid)
        let number = batch.buffer(wanted)
        var arguments: [UInt8] = []
        // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        // set_tid_size, cgroup
        for value in [flags, 0, 0, 0, exitSignal, 0, 0, 0, 0, 1, 0] { arguments.append(littleEndian: value) }
        let block = batch.buffer(arguments)
        batch.store(addressOf: number, in: block, at: 64)
        batch.call(
            Int(SYS_clone3), .address(block), .int(arguments.count), expecting: Int64(tid)...Int64(tid), for: purpose,
            child: control)
    }
}

extension Problem.Code {
    static let sessionOutside: Self = "session-outside"
}
