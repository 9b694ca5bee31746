internal import Images
internal import Objects

/// The numbers under which Apus has what the tree inherits.
///
/// A process may have hardly more descriptors than it has itself open: its hard limit counts for Apus, too. So what a
/// process has open Apus opens under that very number, where this means the same, or nothing, in all processes that
/// have it; everything else gets a number that means nothing in any of them.
struct ServiceNumbers {
    /// Below, the kernel puts what Apus opens in passing.
    private let lowest: Int32
    private var next: Int32
    /// Numbers that somebody has: Apus itself, processes of the tree, epoll sets.
    private var used: Set<Int32>
    private var preferred: [FileTable.Key: Int32] = [:]
    /// What was taken.
    private(set) var taken: Set<Int32> = []
    /// The highest number of the tree.
    let highest: Int32

    /// - Parameters:
    ///   - occupied: what Apus has open itself.
    ///   - held: numbers that mean something in some tasks for a while (``Planner/describedNumbers(_:)``).
    init(_ images: CheckpointImages, occupied: Set<Int32>, held: Set<Int32>) {
        lowest = max(64, Int32(clamping: occupied.count) + 32)
        let watched = Planner.watchedNumbers(images)
        used = occupied.union(watched.keys).union(held)
        var meanings: [Int32: [(task: Int, key: FileTable.Key)]] = [:]
        var holders: [FileTable.Key: Set<Int>] = [:]
        var numbers: [FileTable.Key: [Int32]] = [:]
        for (index, task) in images.tasks.enumerated() {
            for entry in task.descriptors {
                let (number, key) = (Int32(bitPattern: entry.fd), FileTable.Key(entry.type, entry.id))
                meanings[number, default: []].append((index, key))
                holders[key, default: []].insert(index)
                if number >= lowest, !occupied.contains(number), !held.contains(number) {
                    numbers[key, default: []].append(number)
                }
            }
        }
        for (key, candidates) in numbers {
            preferred[key] = candidates.sorted().first { number in
                watched[number].map { $0 == [key] } ?? true
                    && meanings[number, default: []].allSatisfy { meaning in
                        meaning.key == key || holders[key]?.contains(meaning.task) != true
                    }
            }
        }
        used.formUnion(meanings.keys)
        highest = used.subtracting(occupied).max() ?? 2
        next = lowest
    }

    /// A number that means nothing in any process.
    mutating func take() -> Int32 {
        while used.contains(next) { next += 1 }
        defer { next += 1 }
        taken.insert(next)
        return next
    }

    /// The number for an open file that processes have.
    mutating func take(for key: FileTable.Key) -> Int32 {
        guard let number = preferred[key], taken.insert(number).inserted else { return take() }
        return number
    }
}
