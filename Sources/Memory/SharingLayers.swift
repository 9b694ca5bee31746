internal import Images

/// Where shared pages are stored, so that each is stored once and any reader of the format finds it.
///
/// A page map has no offsets: its present runs are the pages file from the start, in order. Page maps of several
/// processes can therefore use one pages file only if they have the same present runs. They may have more of them than a
/// process has pages: as in a chain of incremental dumps, a page map speaks for a directory's child only where the
/// child's own says "in the parent". So shared pages go to parent directories, where all members of a group have the
/// same runs.
///
/// Processes that are connected by any shared page form a group. A group can hold one version of a page at an address,
/// so the version that most processes share goes to the farthest directory, the next one to the directory before it,
/// and so on; what is found nearer counts.
public struct SharingLayers: Sendable {
    /// Processes that read from one pages file.
    public struct Group: Sendable, Equatable {
        /// Indices of processes, in rising order.
        public var members: [Int]
        /// What the file holds, in order.
        public var pieces: [Piece]
    }

    /// Pages to be stored once.
    public struct Piece: Sendable, Equatable {
        public var address: UInt64
        public var pages: UInt64
        /// A process that has them.
        public var owner: Int
        /// The address behind the last.
        public var end: UInt64 { address + pages * Pagemap.pageSize }
    }

    /// Pages that a process has in one of the directories.
    public struct Reference: Sendable, Equatable {
        public var address: UInt64
        public var pages: UInt64
        /// The index in `levels`.
        public var level: Int
        /// The address behind the last.
        public var end: UInt64 { address + pages * Pagemap.pageSize }
    }

    /// The groups of each directory, the farthest directory first.
    public private(set) var levels: [[Group]] = []
    /// By process: the pages that it has not to store itself, sorted by address.
    public private(set) var references: [[Reference]]

    /// More would cost a directory each, for ever fewer pages.
    static let mostLevels = 4

    private struct Placed {
        var set: Int
        var level: Int
        /// Members that have to store their copy all the same.
        var without: [Int] = []
    }

    /// - Parameter count: how many processes there are.
    public init(_ shared: SharedColumns, count: Int) {
        references = Array(repeating: [], count: count)
        var placed: [[Placed]] = shared.columns.map { _ in [] }
        var left = shared.columns.map(\.versions)
        while levels.count < Self.mostLevels, left.contains(where: { !$0.isEmpty }) {
            let level = levels.count
            let leader = Self.components(left, shared.sets, count)
            var groups: [Int: Group] = [:]
            for (number, column) in shared.columns.enumerated() where !left[number].isEmpty {
                for version in Self.largest(of: left[number], shared.sets, leader) {
                    let set = shared.sets[version]
                    let group = leader[set[0]]
                    left[number].removeAll { $0 == version }
                    Self.protect(&placed[number], from: group, leader, shared.sets)
                    placed[number].append(Placed(set: version, level: level))
                    groups[group, default: Group(members: [], pieces: [])].add(column, owner: set[0])
                }
            }
            for member in 0..<count { groups[leader[member]]?.members.append(member) }
            levels.append(groups.keys.sorted().compactMap { groups[$0] })
        }
        for (column, placed) in zip(shared.columns, placed) {
            for one in placed {
                for member in shared.sets[one.set] where !one.without.contains(member) {
                    refer(member, to: column, level: one.level)
                }
            }
        }
    }

    /// For each process the first of those that it is connected with.
    private static func components(_ versions: [[Int]], _ sets: [[Int]], _ count: Int) -> [Int] {
        var leader = Array(0..<count)
        func find(_ member: Int) -> Int {
            var member = member
            while leader[member] != member { member = leader[member] }
            return member
        }
        for set in Set(versions.joined()).sorted() {
            for member in sets[set].dropFirst() {
                let (one, other) = (find(sets[set][0]), find(member))
                leader[max(one, other)] = min(one, other)
            }
        }
        return leader.indices.map(find)
    }

    /// The version that most processes share, of each group.
    private static func largest(of versions: [Int], _ sets: [[Int]], _ leader: [Int]) -> [Int] {
        var best: [Int: Int] = [:]
        for version in versions {
            let group = leader[sets[version][0]]
            if let known = best[group], sets[known].count >= sets[version].count { continue }
            best[group] = version
        }
        return best.keys.sorted().compactMap { best[$0] }
    }

    /// A nearer directory is about to hold another version of these pages for a whole group. Members of the group that
    /// have their version farther away would find the wrong one: they store theirs themselves.
    private static func protect(_ placed: inout [Placed], from group: Int, _ leader: [Int], _ sets: [[Int]]) {
        for index in placed.indices {
            placed[index].without += sets[placed[index].set].filter {
                leader[$0] == group && !placed[index].without.contains($0)
            }
        }
    }

    private mutating func refer(_ member: Int, to column: SharedColumns.Column, level: Int) {
        if let last = references[member].last, last.end == column.address, last.level == level {
            references[member][references[member].count - 1].pages += column.pages
        } else {
            references[member].append(.init(address: column.address, pages: column.pages, level: level))
        }
    }
}

extension SharingLayers.Group {
    fileprivate mutating func add(_ column: SharedColumns.Column, owner: Int) {
        if let last = pieces.last, last.end == column.address, last.owner == owner {
            pieces[pieces.count - 1].pages += column.pages
        } else {
            pieces.append(.init(address: column.address, pages: column.pages, owner: owner))
        }
    }
}
