import Objects

/// As much of a kernel as families need: fork(2), setsid(2), setpgid(2), exit(2), wait(2), adoption.
struct PaperKernel {
    struct Process: Equatable {
        var pid, parent, group, session: Int32
        var hasEnded = false
        var isSubreaper = false
    }

    private(set) var processes: [Int32: Process] = [:]
    /// Who takes orphans that nobody else takes.
    static let initial: Int32 = 1
    private(set) var root: Int32 = 0

    init() { processes[Self.initial] = Process(pid: 1, parent: 0, group: -1, session: -1, isSubreaper: true) }

    subscript(_ pid: Int32) -> Process? { processes[pid] }

    var living: [Int32] { processes.values.filter { !$0.hasEnded && $0.pid != Self.initial }.map(\.pid).sorted() }

    func isTaken(_ pid: Int32) -> Bool {
        processes.values.contains { $0.pid == pid || $0.group == pid || $0.session == pid }
    }

    mutating func fork(_ maker: Int32, _ pid: Int32, asSibling: Bool = false) throws {
        guard let one = processes[maker], !one.hasEnded, !isTaken(pid) else { throw Failure("fork \(maker) \(pid)") }
        processes[pid] = Process(
            pid: pid, parent: asSibling ? one.parent : maker, group: one.group, session: one.session)
        if root == 0 { root = pid }
    }

    mutating func beginSession(_ pid: Int32) throws {
        guard !processes.values.contains(where: { $0.group == pid }) else { throw Failure("setsid \(pid)") }
        processes[pid]?.session = pid
        processes[pid]?.group = pid
    }

    mutating func join(_ pid: Int32, _ group: Int32) throws {
        guard let one = processes[pid], one.session != pid else { throw Failure("setpgid of leader \(pid)") }
        let exists = processes.values.contains { $0.group == group && $0.session == one.session }
        let isForeign = processes.values.contains { $0.group == group && $0.session != one.session }
        guard group == pid ? !isForeign : exists else { throw Failure("setpgid \(pid) \(group)") }
        processes[pid]?.group = group
    }

    mutating func setSubreaper(_ pid: Int32, _ value: Bool) { processes[pid]?.isSubreaper = value }

    mutating func exit(_ pid: Int32) {
        processes[pid]?.hasEnded = true
        var reaper = processes[pid]?.parent ?? Self.initial
        while let one = processes[reaper], !one.isSubreaper || one.hasEnded { reaper = one.parent }
        for child in processes.values where child.parent == pid { processes[child.pid]?.parent = reaper }
    }

    mutating func wait(_ parent: Int32, _ pid: Int32) throws {
        guard let one = processes[pid], one.hasEnded, one.parent == parent else {
            throw Failure("wait \(parent) for \(pid), child of \(processes[pid]?.parent ?? 0)")
        }
        processes[pid] = nil
    }

    /// What a dump from the root sees.
    func members(from root: Int32) -> [Family.Member] {
        var found: [Family.Member] = []
        var pending = [root]
        while let pid = pending.popLast() {
            guard let one = processes[pid] else { continue }
            found.append(
                .init(
                    pid: pid, parent: pid == root ? 0 : one.parent, group: one.group, session: one.session,
                    hasEnded: one.hasEnded))
            pending += processes.values.filter { $0.parent == pid }.map(\.pid).sorted()
        }
        return found
    }
}

/// A tree and how it came about.
struct History {
    var kernel = PaperKernel()
    var members: [Family.Member] { kernel.members(from: kernel.root) }

    static func random(_ chance: inout Chance) -> History {
        var history = History()
        var next: Int32 = 100
        func start() throws {
            try history.kernel.fork(PaperKernel.initial, next)
            try history.kernel.beginSession(next)
            // What it leaves stays with it: an orphan that leaves the tree is another story.
            history.kernel.setSubreaper(next, true)
        }
        try? start()
        let root = history.kernel.root
        let length = Int.random(in: 5...60, using: &chance)
        for _ in 0..<length {
            next += 1
            guard let pid = history.kernel.living.randomElement(using: &chance) else { break }
            switch Int.random(in: 0..<12, using: &chance) {
            case 0..<5: try? history.kernel.fork(pid, next)
            case 5..<7: try? history.kernel.beginSession(pid)
            case 7: try? history.kernel.join(pid, pid)
            case 8:
                guard let other = history.kernel.living.randomElement(using: &chance) else { break }
                try? history.kernel.join(pid, history.kernel[other]?.group ?? pid)
            case 9 where Int.random(in: 0..<3, using: &chance) == 0: history.kernel.setSubreaper(pid, true)
            default:
                guard pid != root else { break }
                let parent = history.kernel[pid]?.parent ?? 1
                history.kernel.exit(pid)
                // Most are waited for, some stay zombies.
                if Int.random(in: 0..<4, using: &chance) > 0 { try? history.kernel.wait(parent, pid) }
            }
        }
        return history
    }
}

/// Carries an arrangement out on a kernel of paper, as TreeBuilder does on a real one; what may happen at the same time
/// happens in a random order.
struct Rehearsal {
    private var kernel = PaperKernel()
    private let family: Family
    private var pids: [Int32]

    var members: [Family.Member] { kernel.members(from: pids[0]) }

    private enum Step {
        case make(Int)
        case beginSession, beginGroup
    }

    static func run(_ family: Family, _ members: [Family.Member], _ chance: inout Chance) throws -> Rehearsal {
        var rehearsal = Rehearsal(family, members)
        try rehearsal.make(&chance)
        try rehearsal.adopt(&chance)
        try rehearsal.joinAndEnd(members, &chance)
        return rehearsal
    }

    private init(_ family: Family, _ members: [Family.Member]) {
        self.family = family
        var spare: Int32 = 30_000
        pids = family.processes.map { process in
            spare += 1
            return process.pid ?? spare
        }
    }

    private mutating func make(_ chance: inout Chance) throws {
        var open: [(index: Int, steps: [Step])] = []
        func steps(_ index: Int) -> [Step] {
            let process = family.processes[index]
            return process.early.map(Step.make) + (process.beginsSession ? [.beginSession] : [])
                + (process.beginsGroup ? [.beginGroup] : []) + process.late.map(Step.make)
        }
        try kernel.fork(PaperKernel.initial, pids[family.first])
        open.append((family.first, steps(family.first)))
        while !open.isEmpty {
            let place = Int.random(in: 0..<open.count, using: &chance)
            guard !open[place].steps.isEmpty else {
                open.remove(at: place)
                continue
            }
            let pid = pids[open[place].index]
            switch open[place].steps.removeFirst() {
            case .make(let child):
                try kernel.fork(pid, pids[child], asSibling: family.processes[child].isSibling)
                open.append((child, steps(child)))
            case .beginSession: try kernel.beginSession(pid)
            case .beginGroup: try kernel.join(pid, pid)
            }
        }
    }

    private mutating func adopt(_ chance: inout Chance) throws {
        for adoption in family.adoptions {
            kernel.setSubreaper(pids[adoption.adopter], true)
            for courier in adoption.couriers.shuffled(using: &chance) { kernel.exit(pids[courier]) }
            kernel.setSubreaper(pids[adoption.adopter], false)
        }
    }

    private mutating func reap(_ parent: Int, _ role: Family.Role) throws {
        for (index, process) in family.processes.enumerated() where process.parent == parent && process.role == role {
            try kernel.wait(pids[parent], pids[index])
        }
    }

    private mutating func joinAndEnd(_ members: [Family.Member], _ chance: inout Chance) throws {
        let indices = Array(members.indices)
        for index in indices.shuffled(using: &chance) where !members[index].hasEnded {
            try reap(index, .courier)
            try join(index, last: false)
        }
        var ending = indices.filter { members[$0].hasEnded }
        ending += family.processes.indices.filter { family.processes[$0].role == .leader }
        // A helper waits for the helpers that it has made.
        var rest = ending.shuffled(using: &chance)
        while !rest.isEmpty {
            let index = rest.removeFirst()
            let own = family.processes.indices.filter {
                family.processes[$0].role == .leader && family.processes[$0].parent == index
            }
            let waits = index < members.count && family.processes[index].joinsLast && !rest.isEmpty
            if own.contains(where: rest.contains) || waits && rest.contains(where: { !family.processes[$0].joinsLast })
            {
                rest.append(index)
                continue
            }
            try reap(index, .courier)
            if index < members.count {
                try join(index, last: family.processes[index].joinsLast)
            } else {
                try reap(index, .leader)
            }
            kernel.exit(pids[index])
        }
        for index in indices.shuffled(using: &chance) where !members[index].hasEnded {
            try reap(index, .leader)
            try join(index, last: true)
        }
        for (index, process) in family.processes.enumerated() where process.role == .leader && process.parent == nil {
            try kernel.wait(PaperKernel.initial, pids[index])
        }
    }

    private mutating func join(_ index: Int, last: Bool) throws {
        guard let group = family.processes[index].group, family.processes[index].joinsLast == last else { return }
        try kernel.join(pids[index], group)
    }
}
