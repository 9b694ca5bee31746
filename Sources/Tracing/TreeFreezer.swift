internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// Stops a process tree that goes on making threads and children all the while.
///
/// Each round seizes whatever it finds that is not seized yet. A stopped thread makes nothing: a process whose threads
/// have all been found stopped is not looked at any more, and the work grows with the tree and not with its depth. When
/// none is left, the children of all are looked through once more, for orphans that came to a process meanwhile.
public struct TreeFreezer {
    /// How many threads a tree may have before Apus takes it for a fork bomb.
    public static let limit = 100_000

    private let deadline: Deadline
    private let limit: Int
    private let tree = FrozenTree()
    private var known: [Int32: Int] = [:]
    private var seized: Set<Int32> = []
    private var moving: [Tracee] = []
    private var exits = VdsoExits()
    /// Processes that may still make threads and children, by their places in the tree.
    private var open: [Int] = []

    private init(deadline: Deadline, limit: Int) {
        self.deadline = deadline
        self.limit = limit
    }

    /// Freezes the tree below and with a process.
    ///
    /// - Throws: `no-such-process`, `already-traced`, `freeze-timeout`, `freeze-diverges`, `permission-denied`. Everything
    ///   runs on then.
    public static func freeze(
        root: Int32, deadline: Deadline, limit: Int = TreeFreezer.limit
    ) throws(Problem) -> FrozenTree {
        ChildSignal.prepare()
        var freezer = TreeFreezer(deadline: deadline, limit: limit)
        do throws(Problem) {
            try freezer.run(root)
        } catch {
            freezer.abandon()
            throw error
        }
        return freezer.tree
    }

    private mutating func run(_ root: Int32) throws(Problem) {
        guard let stat = ProcessState(of: root) else {
            throw Problem(
                .noSuchProcess, "there is no such process", object: .init(pid: root),
                remedy: "Look for the right pid with `ps -e --forest`")
        }
        add(root, parent: stat.parent)
        if stat.isZombie && ProcessState.threads(of: root).count < 2 {
            throw Problem(
                .noSuchProcess, "the process has exited already (a zombie)", object: .init(pid: root),
                remedy: "There is nothing left to dump; its parent \(stat.parent) has yet to take its exit status")
        }
        while try round() {
            // However fast it grows, it is not followed for ever.
            if Cancellation.requested { throw Self.timeout(pid: root, tid: root) }
            if seized.count > limit || tree.processes.count > limit || deadline.isOver {
                throw Problem(
                    .freezeDiverges,
                    seized.count > limit || tree.processes.count > limit
                        ? "the tree has more than \(limit) threads and goes on making new ones"
                        : "the tree goes on making new threads: \(seized.count) were stopped until the time was up",
                    object: .init(pid: root), remedy: "Limit it with the pids controller of cgroups, then try again")
            }
        }
        guard !tree.root.threads.isEmpty else {
            throw Problem(
                .noSuchProcess, "it exited while it was being frozen", object: .init(pid: root),
                remedy: "There is nothing left to dump")
        }
    }

    private mutating func add(_ pid: Int32, parent: Int32) {
        known[pid] = tree.processes.count
        open.append(tree.processes.count)
        tree.processes.append(FrozenProcess(pid: pid, parent: parent))
    }

    /// - Returns: whether anything is left to look at.
    private mutating func round() throws(Problem) -> Bool {
        let current = open
        open = []
        for index in current where try seizeThreads(of: tree.processes[index]) { open.append(index) }
        try settleAll()
        // What one has made before it stopped is found now, and seized in the next round.
        for index in current { addChildren(of: tree.processes[index]) }
        if !open.isEmpty { return true }
        for process in tree.processes { addChildren(of: process) }
        if !open.isEmpty { return true }
        try prune()
        return false
    }

    private mutating func addChildren(of process: FrozenProcess) {
        for thread in process.threads where !thread.isGone {
            for child in ProcessState.children(of: process.pid, thread: thread.tid) where known[child] == nil {
                add(child, parent: process.pid)
            }
        }
    }

    /// Seizes the threads of a process that are not seized yet.
    private mutating func seizeThreads(of process: FrozenProcess) throws(Problem) -> Bool {
        var foundNew = false
        for tid in ProcessState.threads(of: process.pid) where !seized.contains(tid) {
            // It could be seized, would never stop, and could not be let go of. It makes nothing by itself: what is under way
            // in a ring is asked of the ring.
            if tid != process.pid && ProcessState.isRequestWorker(tid, of: process.pid) { continue }
            do throws(Errno) {
                let tracee = try seize(tid, process.pid)
                process.threads.append(tracee)
                moving.append(tracee)
                seized.insert(tid)
                foundNew = true
            } catch {
                if error == .noSuchProcess { continue }
                if error == .notPermitted, ProcessState(of: tid)?.isDead ?? true { continue }
                throw refusal(process.pid, tid, error)
            }
        }
        return foundNew
    }

    private func seize(_ tid: Int32, _ pid: Int32) throws(Errno) -> Tracee {
        do throws(Errno) {
            return try Tracee(seizing: tid, of: pid, options: [.sysgood, .suspendSeccomp])
        } catch {
            // The kernel lacks the option, or Apus the capability for it; a process without filters needs neither.
            guard error == .invalidArgument || error == .notPermitted else { throw error }
            return try Tracee(seizing: tid, of: pid, options: .sysgood)
        }
    }

    /// A thread that can stop does so within microseconds, of a large tree one after the other. What stands still while none does
    /// for so many nanoseconds may be waiting for another one that was stopped.
    private static let patience: UInt64 = 2_000_000

    private mutating func settleAll() throws(Problem) {
        var lastProgress = Deadline.now()
        while !moving.isEmpty {
            let count = moving.count
            var rest: [Tracee] = []
            for tracee in moving {
                let settled: Bool
                do throws(Errno) { settled = try exits.settle(tracee) } catch {
                    if error == .noSuchProcess { continue }
                    throw refusal(tracee.pid, tracee.tid, error)
                }
                if !settled { rest.append(tracee) }
            }
            moving = rest
            if moving.isEmpty { return }
            try exits.stopAgain(refusal)
            if deadline.isOver {
                throw Self.timeout(pid: moving[0].pid, tid: moving[0].tid)
            }
            if moving.count < count { lastProgress = Deadline.now() }
            if Deadline.now() - lastProgress > Self.patience {
                try helpVforkParents()
                lastProgress = Deadline.now()
            }
            ChildSignal.wait(atMost: deadline.remaining(atMost: 1_000_000))
        }
    }

    /// A parent in vfork(2) cannot stop before its child has called execve(2) or ended, and the child cannot do so
    /// while it is stopped: it is let go as far as that.
    private mutating func helpVforkParents() throws(Problem) {
        for tracee in moving where ProcessState(of: tracee.tid)?.isUninterruptible ?? false {
            guard let child = VforkChild.find(of: tracee.pid, thread: tracee.tid) else { continue }
            if known[child] == nil { add(child, parent: tracee.pid) }
            guard let index = known[child], let held = tree.processes[index].threads.first else { continue }
            try held.runUntilExec(deadline)
            // It runs on for a while, and may make others.
            open.append(index)
            if !moving.contains(where: { $0 === held }) { moving.append(held) }
        }
    }

    /// Drops what has ended, and finds the zombies.
    private func prune() throws(Problem) {
        for process in tree.processes {
            process.threads.removeAll { $0.isGone }
            process.threads.sort { a, b in a.tid == process.pid || (b.tid != process.pid && a.tid < b.tid) }
            if process.threads.isEmpty { process.isZombie = ProcessState(of: process.pid)?.isZombie ?? false }
        }
        let root = tree.root
        tree.processes.removeAll { process in
            process !== root && process.threads.isEmpty && !process.isZombie
        }
        let members = Set(tree.processes.map(\.pid))
        for process in tree.processes where process !== root {
            // Its parent may have ended meanwhile, and left it to another.
            process.parent = ProcessState(of: process.pid)?.parent ?? process.parent
            if !members.contains(process.parent) {
                throw Problem(
                    .freezeDiverges, "its parent ended during the freeze and left it to process \(process.parent)",
                    object: .init(pid: process.pid),
                    remedy: "Everything runs on as before; try again, or dump that process's tree by itself")
            }
        }
    }

    /// Lets everything go on after a failure, also what has not stopped yet.
    private mutating func abandon() {
        let limit = Deadline(nanoseconds: 1_000_000_000)
        while !moving.isEmpty && !limit.isPast {
            moving.removeAll { (try? $0.settle()) ?? true }
            if !moving.isEmpty { ChildSignal.wait(atMost: 1_000_000) }
        }
        tree.thaw()
    }

    private func refusal(_ pid: Int32, _ tid: Int32, _ error: Errno) -> Problem {
        let cause = Problem.Cause(error, attempted: "ptrace(PTRACE_SEIZE, \(tid))")
        if let tracer = ProcessState.tracer(of: tid), tracer != 0, tracer != getpid() {
            return Problem(
                .alreadyTraced, "process \(tracer) (\(ProcessState(of: tracer)?.name ?? "?")) traces it already",
                object: .init(pid: pid), cause: cause,
                remedy: "End the debugger or tracer \(tracer), then try again")
        }
        return Problem(
            .permissionDenied, "Apus may not trace it", object: .init(pid: pid), cause: cause,
            remedy: "Run Apus as root; in a container it needs CAP_SYS_PTRACE")
    }

    static func timeout(pid: Int32, tid: Int32) -> Problem {
        // Who has asked for the end need not hear of threads; whose time is over needs to.
        if let problem = Cancellation.problem, problem.code == .interrupted { return problem }
        let state = ProcessState(of: tid)
        return Problem(
            .freezeTimeout, "thread \(tid) did not stop in time" + (state.map { " (state \($0.letter))" } ?? ""),
            object: .init(pid: pid, process: state?.name),
            remedy: state?.letter == "D"
                ? "Everything runs on as before. It waits for a device or a file server: allow more time with --timeout SECONDS,"
                    + " or look at /proc/\(tid)/stack for what it waits for"
                : "Everything runs on as before. Allow more time with --timeout SECONDS")
    }
}

extension Problem.Code {
    public static let noSuchProcess: Self = "no-such-process"
    public static let alreadyTraced: Self = "already-traced"
    public static let permissionDenied: Self = "permission-denied"
    public static let freezeTimeout: Self = "freeze-timeout"
    public static let freezeDiverges: Self = "freeze-diverges"
}
