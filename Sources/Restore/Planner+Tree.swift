internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Tracing

/// Who makes whom, in which session and group.
extension Planner {
    mutating func composeTasks() {
        var members: [Int32: Int] = [:]
        for (index, task) in images.tasks.enumerated() { members[task.pid] = index }
        for task in images.tasks { begin(task, parent: members[task.parent]) }
        ways = images.tasks.map { WaysOut($0, host) }
        for index in images.tasks.indices { composeFamily(index, members) }
        for index in images.tasks.indices { composeTask(index, members) }
    }

    /// Takes numbers and places for a task, so that its parent can name them.
    private mutating func begin(_ task: TaskImages, parent: Int?) {
        let channelPlace = takeRoom(8)
        let threads = (task.threads.isEmpty ? [task.pid] : task.threads.map(\.tid)).map { tid in
            RestorePlan.Thread(
                tid: tid, controlPlace: takeRoom(ControlBlock.size), batch: .init(), frame: RemoteAddress(0),
                leave: RemoteAddress(0))
        }
        plan.tasks.append(
            RestorePlan.Task(
                pid: task.pid, parent: parent, name: task.task.commText, state: task.state,
                channel: takeDescriptor(), channelPlace: channelPlace, usersPlace: channelPlace + 4, threads: threads,
                family: .init(), rebuild: .init(), finish: .init(), cleanup: .init(),
                staysStopped: task.state == .stopped || (leavesStopped && task.state == .alive),
                outOfMemoryAdjustment: task.task.oomScoreAdj))
    }

    /// The session that a task will be in: its own, or the caller's in place of one whose leader was outside.
    func session(of task: TaskImages, _ members: [Int32: Int]) -> Int32? {
        if members[task.session] != nil { return task.session }
        return shellJob ? host.session : nil
    }

    func group(of task: TaskImages, _ members: [Int32: Int]) -> Int32? {
        if members[task.processGroup] != nil { return task.processGroup }
        // Outside with its session: the caller's group takes its place.
        return shellJob && members[task.session] == nil ? host.processGroup : nil
    }

    private mutating func composeFamily(_ index: Int, _ members: [Int32: Int]) {
        let task = images.tasks[index]
        var batch = Batch()
        guard let own = session(of: task, members) else {
            return problems.append(
                Problem(
                    .sessionOutside, "the leader of its session, \(task.session), is not in the images",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore with --shell-job from the terminal that it is to join"))
        }
        let inherited = task.parent == 0 ? host.session : sessionAtFork(of: task, members)
        let children = images.tasks.indices.filter { plan.tasks[$0].parent == index }
        if own == task.pid {
            for child in children where session(of: images.tasks[child], members) == inherited {
                clone(child, in: &batch)
            }
            batch.call(Int(SYS_setsid), for: "begin session \(own)")
        } else if own != inherited {
            problems.append(
                Problem(
                    .sessionOutside, "it is in session \(own), which no ancestor of its could have given it",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Restore the images with CRIU; Apus cannot place such a process yet"))
        } else if task.processGroup == task.pid {
            batch.call(Int(SYS_setpgid), 0, 0, for: "begin process group \(task.pid)")
        }
        for child in children where own != task.pid || session(of: images.tasks[child], members) != inherited {
            clone(child, in: &batch)
        }
        plan.tasks[index].family = placed(batch)
    }

    /// The session in which the parent makes a task: the one that the parent had before its own, for a child that
    /// stayed behind in it.
    private func sessionAtFork(of task: TaskImages, _ members: [Int32: Int]) -> Int32 {
        var current = task
        // Climb while the answer depends on a parent that began a session of its own after it had made the child.
        while let index = members[current.parent] {
            let parent = images.tasks[index]
            let parents = session(of: parent, members) ?? host.session
            if parents != parent.pid || session(of: task, members) == parents || task.session == task.pid {
                return parents
            }
            current = parent
        }
        return host.session
    }

    /// Adds the making of a child, with its own pid.
    private func clone(_ child: Int, in batch: inout Batch) {
        let task = plan.tasks[child]
        addClone(
            of: task.pid, flags: 0, exitSignal: UInt64(SIGCHLD), control: address(task.threads[0].controlPlace),
            purpose: "make process \(task.pid) (\(task.name))", in: &batch)
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
