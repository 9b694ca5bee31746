extension Family {
    /// Arranges a tree.
    ///
    /// - Parameter members: the root first.
    /// - Throws: every member that cannot be placed.
    public init(arranging members: [Member]) throws(Misfits) {
        var arrangement = Arrangement(members)
        arrangement.run()
        if !arrangement.misfits.isEmpty { throw Misfits(all: arrangement.misfits) }
        self = arrangement.family
    }

    /// All that cannot be placed.
    public struct Misfits: Error, Sendable {
        public var all: [Misfit]
    }
}

/// Invents the history of a tree.
private struct Arrangement {
    let members: [Family.Member]
    var family: Family
    var misfits: [Family.Misfit] = []

    private var indices: [Int32: Int] = [:]
    private var children: [[Int]]
    /// The members by depth, the root first.
    private var order: [Int] = []
    /// A member's place in a walk through the tree, and the last place below it: who is below whom is a comparison.
    private var entered: [Int]
    private var left: [Int]
    private var depth: [Int]
    /// The session that a member has to be made in; nil for the leader of a session that may be made in any.
    private var wanted: [Int32?]
    /// The session that a member is made in.
    private var born: [Int32]
    /// The members that are in a session, or have to be made in it.
    private var inSession: [Int32: [Int]] = [:]
    private var leaders: [Int32: Int] = [:]

    init(_ members: [Family.Member]) {
        self.members = members
        let count = members.count
        children = Array(repeating: [], count: count)
        entered = Array(repeating: -1, count: count)
        left = entered
        depth = entered
        wanted = Array(repeating: nil, count: count)
        born = Array(repeating: Family.callers, count: count)
        family = Family()
    }

    mutating func run() {
        prepare()
        guard misfits.isEmpty, !members.isEmpty else { return }
        for index in order.reversed() { decideWanted(index) }
        for index in order where wanted[index] != nil && wanted[index] != members[index].session {
            inSession[wanted[index] ?? 0, default: []].append(index)
        }
        var orphans: [Int32: [Int]] = [:]
        for index in order { makeNaturally(index, &orphans) }
        for (session, list) in orphans.sorted(by: { $0.key < $1.key }) { makeOrphans(list, of: session) }
        arrangeGroups()
        family.adoptions.sort { depth[$0.adopter] > depth[$1.adopter] }
    }

    private mutating func refuse(_ index: Int, _ reason: String) {
        misfits.append(.init(pid: members[index].pid, reason: reason))
    }

    // MARK: The tree as it is

    private mutating func prepare() {
        for (index, member) in members.enumerated() { indices[member.pid] = index }
        for (index, member) in members.enumerated() {
            let parent = index == 0 ? nil : indices[member.parent]
            if let parent { children[parent].append(index) }
            if index > 0 && parent == nil { refuse(index, "its parent \(member.parent) is not in the tree") }
            if member.session == member.pid { leaders[member.pid] = index }
            inSession[member.session, default: []].append(index)
            family.processes.append(.init(role: .member, pid: member.pid, parent: parent))
        }
        for (index, member) in members.enumerated() where leaders[member.session] == nil {
            if indices[member.session] != nil {
                refuse(index, "it is in session \(member.session), whose number a process of another session has")
            }
        }
        walk()
    }

    private mutating func walk() {
        guard !members.isEmpty else { return }
        var stack = [(index: 0, depth: 0, done: false)]
        var place = 0
        while let top = stack.popLast() {
            if top.done {
                left[top.index] = place - 1
                continue
            }
            // A forged image may hold a circle.
            guard entered[top.index] < 0 else { return refuse(top.index, "it is its own ancestor") }
            entered[top.index] = place
            depth[top.index] = top.depth
            order.append(top.index)
            place += 1
            stack.append((top.index, top.depth, true))
            for child in children[top.index].reversed() { stack.append((child, top.depth + 1, false)) }
        }
        for index in members.indices where entered[index] < 0 { refuse(index, "it does not descend from the root") }
    }

    /// Whether a member is a descendant of another, or of whoever restores.
    private func isBelow(_ index: Int, _ ancestor: Int?) -> Bool {
        guard let ancestor else { return true }
        return entered[index] > entered[ancestor] && entered[index] <= left[ancestor]
    }

    private func begins(_ index: Int) -> Bool { members[index].session == members[index].pid }

    // MARK: Sessions

    /// Decides in which session a member has to be made: its own; or, of one that begins a session, that of children
    /// which stayed behind in the session before, and can come from nowhere else.
    private mutating func decideWanted(_ index: Int) {
        let member = members[index]
        guard begins(index) else {
            wanted[index] = member.session
            return
        }
        for child in children[index] {
            guard let session = wanted[child], session != member.session, !canBeginBelow(index, session) else {
                continue
            }
            if let other = wanted[index], other != session {
                refuse(child, "it is in session \(session), and others of its parent's children are in \(other)")
            }
            wanted[index] = session
        }
    }

    /// Whether a session's leader is, or can be, a descendant of a member.
    private func canBeginBelow(_ index: Int, _ session: Int32) -> Bool {
        if session == Family.callers { return false }
        if let leader = leaders[session] { return isBelow(leader, index) }
        return (inSession[session] ?? []).allSatisfy { isBelow($0, index) }
    }

    /// Has a member made by its parent where that is, or was, in the right session.
    private mutating func makeNaturally(_ index: Int, _ orphans: inout [Int32: [Int]]) {
        let parent = family.processes[index].parent
        let session = parent.map { members[$0].session } ?? Family.callers
        let needed = wanted[index] ?? session
        born[index] = needed
        family.processes[index].beginsSession = begins(index)
        if needed == session {
            made(index, by: parent)
        } else if let parent, begins(parent), born[parent] == needed {
            family.processes[index].maker = parent
            family.processes[parent].early.append(index)
        } else {
            orphans[needed, default: []].append(index)
        }
    }

    private mutating func made(_ index: Int, by maker: Int?, asSibling isSibling: Bool = false) {
        family.processes[index].maker = maker
        family.processes[index].isSibling = isSibling
        if let maker { family.processes[maker].late.append(index) } else { family.first = index }
    }

    private mutating func add(_ process: Family.Process) -> Int {
        family.processes.append(process)
        return family.processes.count - 1
    }

    private mutating func makeOrphans(_ orphans: [Int], of session: Int32) {
        if session == Family.callers {
            for orphan in orphans {
                refuse(orphan, "it is in the session of the terminal, which its parent has never been in")
            }
            return
        }
        var parents: [Int?: [Int]] = [:]
        for orphan in orphans { parents[family.processes[orphan].parent, default: []].append(orphan) }
        if let leader = leaders[session] {
            for (parent, list) in sorted(parents) { adopt(list, parent, from: leader) }
        } else {
            makeWithoutLeader(session, parents)
        }
    }

    /// By depth, what whoever restores adopts first.
    private func sorted(_ parents: [Int?: [Int]]) -> [(Int?, [Int])] {
        parents.map { ($0.key, $0.value) }.sorted { a, b in
            (a.0.map { entered[$0] } ?? -1) < (b.0.map { entered[$0] } ?? -1)
        }
    }

    private mutating func makeWithoutLeader(_ session: Int32, _ parents: [Int?: [Int]]) {
        let list = sorted(parents)
        guard let (home, _) = list.last else { return }
        let leader = add(.init(role: .leader, pid: session, parent: home, beginsSession: true))
        made(leader, by: home)
        for (parent, orphans) in list {
            // The helper's place is below the deepest of the parents; the others have to be above that.
            if parent == home {
                for orphan in orphans { made(orphan, by: leader, asSibling: true) }
            } else if let parent, let home, isBelow(home, parent) {
                send(orphans, to: parent, from: leader)
            } else {
                for orphan in orphans {
                    refuse(
                        orphan,
                        "it is in session \(session), whose leader has ended and whose other members have other parents"
                    )
                }
            }
        }
    }

    private mutating func adopt(_ orphans: [Int], _ parent: Int?, from leader: Int) {
        if family.processes[leader].parent == parent {
            for orphan in orphans { made(orphan, by: leader, asSibling: true) }
        } else if let parent, isBelow(leader, parent) {
            send(orphans, to: parent, from: leader)
        } else {
            for orphan in orphans {
                refuse(
                    orphan,
                    "it is in session \(members[leader].session), which no ancestor of its could have given it")
            }
        }
    }

    /// Has orphans made by a courier, which then ends.
    private mutating func send(_ orphans: [Int], to adopter: Int, from maker: Int) {
        let courier = add(.init(role: .courier, pid: nil, parent: maker))
        made(courier, by: maker)
        for orphan in orphans { made(orphan, by: courier) }
        if let known = family.adoptions.firstIndex(where: { $0.adopter == adopter }) {
            family.adoptions[known].couriers.append(courier)
        } else {
            family.adoptions.append(.init(adopter: adopter, couriers: [courier]))
        }
    }

    // MARK: Groups

    private mutating func arrangeGroups() {
        var groups: [Int32: [Int]] = [:]
        for (index, member) in members.enumerated() where !begins(index) {
            family.processes[index].group = member.group
            groups[member.group, default: []].append(index)
        }
        for (group, list) in groups.sorted(by: { $0.key < $1.key }) {
            guard let one = list.first else { continue }
            let session = members[one].session
            for index in list where members[index].session != session {
                refuse(index, "it is in process group \(group), of which others are in another session")
            }
            if group == Family.callers {
                for index in list where session != Family.callers {
                    refuse(index, "it is in a process group of another session")
                }
            } else if let leader = indices[group] {
                lead(group, leader, session, list)
            } else if group != session {
                beginWithoutLeader(group, session, list)
            }
        }
    }

    private mutating func lead(_ group: Int32, _ leader: Int, _ session: Int32, _ list: [Int]) {
        guard members[leader].session == session else {
            return refuse(
                list[0], "it is in process group \(group), whose number a process of another session has")
        }
        if begins(leader) { return }
        family.processes[leader].beginsGroup = true
        guard members[leader].group != group else { return }
        family.processes[leader].joinsLast = true
        let target = indices[members[leader].group]
        if let target, members[target].group != members[leader].group {
            // Its new group may be gone by the time it comes, where only others of this kind are in it.
            refuse(leader, "it and another process have left the process groups that they began for each other's")
        }
    }

    private mutating func beginWithoutLeader(_ group: Int32, _ session: Int32, _ list: [Int]) {
        let all = inSession[session]?.filter { members[$0].session == session } ?? []
        let living = all.first { !members[$0].hasEnded }
        guard let maker = living ?? all.first else { return }
        // One that has ended cannot wait for the helper: its parent does.
        let isSibling = living == nil
        let parent = isSibling ? family.processes[maker].parent : maker
        let helper = add(.init(role: .leader, pid: group, parent: parent, beginsGroup: true))
        made(helper, by: maker, asSibling: isSibling)
    }
}
