public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Finds the pages that frozen processes share by copy-on-write: those that at the same address lie in the same frame.
///
/// Frames are compared a part at a time. A frame that the kernel gave to somebody else in between (it moves pages to
/// make room for huge ones) could be taken for shared: so each process whose page is to stand for those of others is
/// asked a second time, and only what has not moved counts.
public struct FrameComparison {
    /// A process, and the ranges of its private memory that hold pages of its own.
    public struct Member {
        public var pid: Int32
        /// Sorted, without overlap.
        public var ranges: [Range<UInt64>]

        public init(pid: Int32, ranges: [Range<UInt64>]) {
            self.pid = pid
            self.ranges = ranges
        }
    }

    /// A range of addresses that the same processes have pages in.
    struct Overlap: Equatable {
        var range: Range<UInt64>
        var members: [Int]
    }

    private static let partSize = 8192 * Pagemap.pageSize
    private let members: [Member]
    private var columns = SharedColumns()

    private init(_ members: [Member]) { self.members = members }

    /// - Throws: `memory-unreachable`.
    public static func columns(of members: [Member]) throws(Problem) -> SharedColumns {
        var comparison = FrameComparison(members)
        try comparison.run()
        return comparison.columns
    }

    /// Where several processes have pages, and which.
    static func overlaps(of members: [Member]) -> [Overlap] {
        var edges: [(address: UInt64, member: Int, begins: Bool)] = []
        for (index, member) in members.enumerated() {
            for range in member.ranges {
                edges.append((range.lowerBound, index, true))
                edges.append((range.upperBound, index, false))
            }
        }
        edges.sort { $0.address < $1.address }
        var overlaps: [Overlap] = []
        var present: [Int] = []
        var last: UInt64 = 0
        for edge in edges {
            if present.count > 1, edge.address > last {
                overlaps.append(Overlap(range: last..<edge.address, members: present))
            }
            last = edge.address
            let place = present.firstIndex { $0 >= edge.member } ?? present.count
            if edge.begins { present.insert(edge.member, at: place) } else { present.remove(at: place) }
        }
        return overlaps
    }

    private mutating func run() throws(Problem) {
        var maps: [Int: OpenMap] = [:]
        for overlap in Self.overlaps(of: members) {
            for member in overlap.members where maps[member] == nil {
                maps[member] = try OpenMap(members[member].pid)
            }
            var start = overlap.range.lowerBound
            while start < overlap.range.upperBound {
                let end = min(start + Self.partSize, overlap.range.upperBound)
                try compare(start..<end, overlap.members.compactMap { maps[$0] }, overlap.members)
                start = end
            }
        }
    }

    private mutating func compare(_ range: Range<UInt64>, _ maps: [OpenMap], _ members: [Int]) throws(Problem) {
        var frames: [[UInt64]] = []
        for map in maps { frames.append(try map.frames(range)) }
        // A second look at those that stand for others, taken when it is first needed.
        var again: [[UInt64]] = maps.map { _ in [] }
        again[0] = try maps[0].frames(range)
        let all = columns.number(of: members)
        for index in frames[0].indices {
            let page = range.lowerBound + UInt64(index) * Pagemap.pageSize
            if Self.agree(frames, index) {
                if frames[0][index] != 0, frames[0][index] == again[0][index] { columns.add(page, [all]) }
                continue
            }
            var versions: [Int] = []
            for group in Self.groups(frames.map { $0[index] }) {
                if again[group[0]].isEmpty { again[group[0]] = try maps[group[0]].frames(range) }
                guard again[group[0]][index] == frames[group[0]][index] else { continue }
                versions.append(columns.number(of: group.map { members[$0] }))
            }
            columns.add(page, versions)
        }
    }

    private static func agree(_ frames: [[UInt64]], _ index: Int) -> Bool {
        let first = frames[0][index]
        for one in 1..<frames.count where frames[one][index] != first { return false }
        return true
    }

    /// The positions at which the same frame stands, for each frame that stands more than once.
    static func groups(_ frames: [UInt64]) -> [[Int]] {
        let order = frames.indices.filter { frames[$0] != 0 }.sorted { (frames[$0], $0) < (frames[$1], $1) }
        var groups: [[Int]] = []
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count, frames[order[end]] == frames[order[start]] { end += 1 }
            if end - start > 1 { groups.append(Array(order[start..<end])) }
            start = end
        }
        // In the order of their first member, so that neighbouring pages that agree look alike.
        return groups.sorted { $0[0] < $1[0] }
    }

    /// Page maps cannot be copied, and arrays hold what can.
    private final class OpenMap {
        private let map: PageMap

        init(_ pid: Int32) throws(Problem) {
            do throws(Errno) { map = try PageMap(of: pid) } catch { throw OpenMap.unreadable(pid, error) }
        }

        func frames(_ range: Range<UInt64>) throws(Problem) -> [UInt64] {
            var frames: [UInt64] = []
            do throws(Errno) {
                try map.sharedFrames(range, into: &frames)
            } catch {
                throw OpenMap.unreadable(map.pid, error)
            }
            return frames
        }

        private static func unreadable(_ pid: Int32, _ error: Errno) -> Problem {
            Problem(
                .memoryUnreachable, "the state of its pages cannot be read", object: .init(pid: pid),
                cause: .init(error, attempted: "read of /proc/\(pid)/pagemap"), remedy: "Run Apus as root")
        }
    }
}
