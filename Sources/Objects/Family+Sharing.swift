extension Family {
    /// Finds out which processes have to be made so that they share a table with their maker: descriptors
    /// (CLONE_FILES) or directories (CLONE_FS).
    ///
    /// Sharing is passed on at birth alone, from maker to child, and a helper in between has to have its part in it.
    ///
    /// - Parameter tables: by member, the number of its table; the same number for the same table, nil for none.
    /// - Returns: the processes that share with their makers, helpers included. Whoever has a table that others share
    ///   and is not among them is the one that all the others have it from.
    /// - Throws: the members that share with one which is not their ancestor by birth.
    public func sharing(_ tables: [UInt32?]) throws(Misfits) -> Set<Int> {
        var groups: [UInt32: [Int]] = [:]
        for (member, table) in tables.enumerated() {
            if let table { groups[table, default: []].append(member) }
        }
        var shares: Set<Int> = []
        var misfits: [Misfit] = []
        for (table, sharers) in groups.sorted(by: { $0.key < $1.key }) where sharers.count > 1 {
            var owner: Int?
            for sharer in sharers {
                var path = [sharer]
                var maker = processes[sharer].maker
                while let helper = maker, processes[helper].role != .member {
                    path.append(helper)
                    maker = processes[helper].maker
                }
                if let maker, tables[maker] == table {
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
