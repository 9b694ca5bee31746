internal import Images

/// Which pages processes have in common by copy-on-write.
///
/// A process forks, and both it and its child have the same pages until one of them writes. A column is a range of
/// addresses together with the versions of its pages that more than one process has.
public struct SharedColumns: Sendable, Equatable {
    /// Pages at one place of all address spaces.
    public struct Column: Sendable, Equatable {
        /// The address of the first page.
        public var address: UInt64
        /// How many pages, never 0.
        public var pages: UInt64
        /// Indices in `sets`: each version of these pages that several processes share. The sets are disjoint.
        public var versions: [Int]

        public init(address: UInt64, pages: UInt64, versions: [Int]) {
            self.address = address
            self.pages = pages
            self.versions = versions
        }
    }

    /// Sorted by address, without overlap.
    public private(set) var columns: [Column] = []
    /// Sets of processes, by their index, in rising order; each once.
    public private(set) var sets: [[Int]] = []
    private var known: [[Int]: Int] = [:]

    public init() {}

    public var isEmpty: Bool { columns.isEmpty }

    /// The number of a set.
    mutating func number(of set: [Int]) -> Int {
        if let number = known[set] { return number }
        known[set] = sets.count
        sets.append(set)
        return sets.count - 1
    }

    /// Adds a page above all others.
    mutating func add(_ address: UInt64, _ versions: [Int]) {
        if versions.isEmpty { return }
        let end = columns.last.map { $0.address + $0.pages * Pagemap.pageSize }
        if end == address, columns[columns.count - 1].versions == versions {
            columns[columns.count - 1].pages += 1
        } else {
            columns.append(Column(address: address, pages: 1, versions: versions))
        }
    }
}
