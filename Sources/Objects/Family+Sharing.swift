/// What clone(2) lets processes share: a number for each member, the same for the same memory, handlers or table; nil for
/// none.
public typealias SharedTables = [UInt32?]

extension Family {
    /// Has sisters made by one another that share what their maker does not: with CLONE_PARENT, as children of its
    /// parent. So they were made themselves, or by one that has ended.
    ///
    /// - Parameter all: of each kind, what the members have.
    public mutating func joinSisters(_ all: [SharedTables]) {
        for tables in all {
            for (_, sharers) in Self.groups(tables) {
                let heads = sharers.filter { !hasFromMaker($0, tables).isShared }
                if heads.count < 2 { continue }
                // One that has something from the maker that it is made by now is best left there.
                let first = heads.max { ties(of: $0, all) < ties(of: $1, all) } ?? heads[0]
                for sister in heads where sister != first { give(sister, to: first) }
            }
        }
    }

    /// How much a process has in common with its maker.
    private func ties(of process: Int, _ all: [SharedTables]) -> Int {
        all.count { $0[process] != nil && hasFromMaker(process, $0).isShared }
    }

    /// Has a process made by another that has the same maker, in the session in which both were to be made.
    private mutating func give(_ sister: Int, to first: Int) {
        guard let maker = processes[first].maker, maker == processes[sister].maker,
            processes[first].isSibling == processes[sister].isSibling,
            processes[maker].early.contains(first) == processes[maker].early.contains(sister)
        else { return }
        processes[maker].early.removeAll { $0 == sister }
        processes[maker].late.removeAll { $0 == sister }
        processes[sister].maker = first
        processes[sister].isSibling = true
        processes[first].early.append(sister)
    }

    /// The members that have the same, in the order of the numbers.
    private static func groups(_ tables: SharedTables) -> [(table: UInt32, sharers: [Int])] {
        var groups: [UInt32: [Int]] = [:]
        for (member, table) in tables.enumerated() {
            if let table { groups[table, default: []].append(member) }
        }
        return groups.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Whether the one that makes a process, by way of helpers or not, has the same; and who has to pass it on.
    private func hasFromMaker(_ process: Int, _ tables: SharedTables) -> (isShared: Bool, path: [Int]) {
        var path = [process]
        var maker = processes[process].maker
        while let helper = maker, processes[helper].role != .member {
            path.append(helper)
            maker = processes[helper].maker
        }
        return (maker.map { tables[$0] == tables[process] } ?? false, path)
    }

    /// Finds out which processes have to be made so that they share something with their maker: memory (CLONE_VM), signal
    /// handlers (CLONE_SIGHAND), descriptors (CLONE_FILES) or directories (CLONE_FS).
    ///
    /// Sharing is passed on at birth alone, from maker to child, and a helper in between has to have its part in it.
    ///
    /// - Returns: the processes that share with their makers, helpers included. Whoever has a table that others share
    ///   and is not among them is the one that all the others have it from.
    /// - Throws: the members that share with one which is not their ancestor by birth.
    public func sharing(_ tables: SharedTables) throws(Misfits) -> Set<Int> {
        var shares: Set<Int> = []
        var misfits: [Misfit] = []
        for (_, sharers) in Self.groups(tables) {
            var owner: Int?
            for sharer in sharers {
                let (isShared, path) = hasFromMaker(sharer, tables)
                if isShared {
                    shares.formUnion(path)
                } else if let owner {
                    misfits.append(
                        .init(
                            pid: processes[sharer].pid ?? 0,
                            reason: "process \(processes[owner].pid ?? 0) and it share what they can have from none"
                                + " but a common ancestor, which does not share it"))
                } else {
                    owner = sharer
                }
            }
        }
        if !misfits.isEmpty { throw Misfits(all: misfits) }
        return shares
    }
}
