internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// Which sets of semaphores and which queues of System V (sysvipc(7)) a tree uses.
///
/// They belong to an IPC namespace, which the tree shares with its host, and no process is attached to one. But the kernel
/// notes who operated on each semaphore last, who sent last to a queue and who received last from it; and who waits for one
/// can be seen. What has been used so by the tree alone is the tree's. What others of the host use, too, stays where it is;
/// what nobody who lives has used can be ascribed to nobody.
public struct SystemVUse: Sendable {
    /// Whose something is.
    struct Use: Sendable {
        /// Somebody in the tree uses it.
        var isUsed: Bool
        /// So does this process outside.
        var outsider: Int32?

        var isTrees: Bool { isUsed && outsider == nil }
    }

    /// A set, and what is known of its use.
    struct Semaphores: Sendable {
        var set: SemaphoreSet
        /// By semaphore, who operated on it last; 0 for nobody that can be seen.
        var users: [Int32]
        var use: Use
    }

    /// All of the namespace.
    private(set) var semaphores: [Semaphores] = []
    private(set) var queues: [(queue: MessageQueue, use: Use)] = []
    /// What processes have to do to semaphores at their end.
    private(set) var adjustments: [SemaphoreUndo] = []

    /// Looks at all of Apus' namespace.
    ///
    /// - Parameter processes: of the tree, each with its threads.
    public init(of processes: [(pid: Int32, threads: [Int32])]) {
        // A kernel without CONFIG_SYSVIPC has no such files, and nothing to list.
        let sets = (try? Procfs.live.semaphoreSets()) ?? []
        let queues = (try? Procfs.live.messageQueues()) ?? []
        if sets.isEmpty && queues.isEmpty { return }
        let pids = Set(processes.map(\.pid))
        let waits = Self.waits(of: processes)
        for set in sets {
            // One that has gone since has no users.
            let users = (0..<set.count).map { (try? SystemV.lastUser(ofSemaphore: $0, in: set.id)) ?? 0 }
            let use = Self.use(users, isWaitedFor: waits.semaphores.contains(set.id), pids)
            semaphores.append(.init(set: set, users: users, use: use))
        }
        for queue in queues {
            let users = [queue.lastSender, queue.lastReceiver]
            self.queues.append((queue, Self.use(users, isWaitedFor: waits.queues.contains(queue.id), pids)))
        }
    }

    private static func use(_ users: [Int32], isWaitedFor: Bool, _ pids: Set<Int32>) -> Use {
        Use(
            isUsed: isWaitedFor || users.contains(where: pids.contains),
            outsider: living(Set(users).subtracting(pids)))
    }

    /// One of some processes that lives and is not Apus.
    static func living(_ users: Set<Int32>) -> Int32? {
        users.sorted().first { pid in
            guard pid > 0, pid != Processes.current, let stat = try? ProcessDirectory(pid).stat() else { return false }
            return !stat.state.hasEnded
        }
    }

    private static let ofSemaphores: Set<Int64> = [Int64(SYS_semop), Int64(SYS_semtimedop)]
    private static let ofQueues: Set<Int64> = [Int64(SYS_msgsnd), Int64(SYS_msgrcv)]

    /// The sets and queues that threads wait for at this moment, by id.
    static func waits(
        of processes: [(pid: Int32, threads: [Int32])]
    ) -> (semaphores: Set<Int32>, queues: Set<Int32>) {
        var (semaphores, queues): (Set<Int32>, Set<Int32>) = ([], [])
        for process in processes {
            for thread in process.threads {
                guard
                    case .call(let number, let arguments, _, _) =
                        try? ProcessDirectory(process.pid, thread: thread).blockedCall()
                else { continue }
                let id = Int32(truncatingIfNeeded: arguments[0])
                if ofSemaphores.contains(number) { semaphores.insert(id) }
                if ofQueues.contains(number) { queues.insert(id) }
            }
        }
        return (semaphores, queues)
    }

    /// The sets whose semaphores processes may have to adjust at their end.
    public var sets: [(id: Int32, count: Int)] { semaphores.map { ($0.set.id, $0.set.count) } }

    /// Takes note of what a process has to do to semaphores at its end.
    ///
    /// - Throws: `leads-outside` where others use them, too: the end of the original would be seen by them.
    public mutating func add(_ found: [SemaphoreUndo], _ object: Problem.Object) throws(Problem) {
        for undo in found {
            guard let index = semaphores.firstIndex(where: { $0.set.id == undo.set }) else { continue }
            semaphores[index].use.isUsed = true
            adjustments.append(undo)
            guard let outsider = semaphores[index].use.outsider else { continue }
            throw Problem(
                .leadsOutside,
                "it holds semaphore \(undo.index) of set \(undo.set) (SEM_UNDO), which process \(outsider) outside of the"
                    + " tree uses, too",
                object: object,
                remedy:
                    "Dump the processes that share it together, by a parent of all, or when none of the tree holds it"
                    + " (`ipcs -si \(undo.set)`)")
        }
    }

    /// What stays where it is, in words.
    var losses: [String] {
        func loss(_ what: String, _ outsider: Int32) -> String {
            "\(what), which the tree uses, is used by process \(outsider) outside of it, too: it is not in the images and stays"
                + " as it is on this host; elsewhere the restored program finds none"
        }
        var losses: [String] = []
        for semaphores in semaphores where semaphores.use.isUsed {
            guard let outsider = semaphores.use.outsider else { continue }
            losses.append(loss("set \(semaphores.set.id) of System V semaphores", outsider))
        }
        for (queue, use) in queues where use.isUsed {
            if let outsider = use.outsider { losses.append(loss("queue \(queue.id) of System V messages", outsider)) }
        }
        return losses
    }
}
