internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Objects
internal import Tracing

/// Process groups, and the helpers that begin sessions and groups in place of leaders that have gone.
extension Planner {
    /// Joins its process group, which has begun by now.
    func joinGroup(_ index: Int, in batch: inout Batch) {
        guard let group = family.processes[index].group else { return }
        let number = group == Family.callers ? host.processGroup : group
        batch.call(Int(SYS_setpgid), 0, .signed(number), for: "join process group \(number)")
    }

    /// At the beginning of a process's rebuilding: couriers have ended, and the group has to be joined, unless others
    /// have yet to join the one that the process leads and is not in.
    func composeArrival(_ index: Int, in batch: inout Batch) {
        reap(index, couriers: true, in: &batch)
        if !family.processes[index].joinsLast || plan.tasks[index].endsLast { joinGroup(index, in: &batch) }
    }

    /// At the beginning of the last batch: everybody has joined, all helpers have ended, and no orphan is left.
    func composeSettling(_ index: Int, in batch: inout Batch) {
        reap(index, couriers: false, in: &batch)
        if family.processes[index].joinsLast { joinGroup(index, in: &batch) }
        drainExitSignals(index, in: &batch)
        if images.tasks[index].task.childSubreaper {
            batch.call(Int(SYS_prctl), .int(Self.setSubreaper), 1, for: "make it a child subreaper")
        }
    }

    /// Takes away the unusual signals that the ends of zombies have caused once more.
    private func drainExitSignals(_ index: Int, in batch: inout Batch) {
        let zombies = endedByParent[images.tasks[index].pid] ?? []
        let signals = Set(zombies.map { ExitSignal.of($0, images.supplement) }).subtracting([0, SIGCHLD])
        guard !signals.isEmpty else { return }
        var bytes: [UInt8] = []
        bytes.append(littleEndian: signals.reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) })
        let mask = batch.buffer(bytes)
        let now = batch.buffer([UInt8](repeating: 0, count: 16))
        for _ in zombies {
            batch.call(
                Int(SYS_rt_sigtimedwait), .address(mask), 0, .address(now), 8, expecting: Batch.anything,
                for: "take away the signal of an end")
        }
    }

    private static let setSubreaper = 36  // PR_SET_CHILD_SUBREAPER

    /// A helper ends as soon as nobody needs it.
    mutating func composeHelper(_ index: Int) {
        var batch = Batch()
        reap(index, couriers: true, in: &batch)
        reap(index, couriers: false, in: &batch)
        batch.call(Int(SYS_exit_group), 0, for: "end: everything is in its place")
        plan.tasks[index].rebuild = placed(batch)
    }

    mutating func composeAdoptions() {
        for adoption in family.adoptions {
            var (begin, end) = (Batch(), Batch())
            begin.call(Int(SYS_prctl), .int(Self.setSubreaper), 1, for: "adopt orphans")
            end.call(Int(SYS_prctl), .int(Self.setSubreaper), 0, for: "adopt no more orphans")
            plan.adoptions.append(
                .init(
                    adopter: adoption.adopter, couriers: adoption.couriers, begin: placed(begin), end: placed(end)))
        }
    }

    private func reap(_ index: Int, couriers: Bool, in batch: inout Batch) {
        guard let helpers = helpersByParent[index] else { return }
        for helper in helpers where plan.tasks[helper].isCourier == couriers {
            let pid = plan.tasks[helper].pid
            let all = 0x4000_0000  // __WALL
            batch.call(
                Int(SYS_wait4), .signed(pid), 0, .int(all), 0, expecting: Int64(pid)...Int64(pid),
                for: "take note of the end of helper \(pid)")
        }
    }
}
