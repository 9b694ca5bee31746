internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage
public import Tracing

/// What a process adds to a semaphore when it ends (SEM_UNDO of semop(2)).
///
/// No interface shows it, but it has limits, which semop(2) keeps (-32768 to 32767; ERANGE). So the process is asked to make
/// operations of which one, with SEM_UNDO, would break a limit if the adjustment had a certain size, and of which the last one cannot be made
/// (EAGAIN). The operations of a call are made all together or not at all: nothing is changed, whichever of them fails,
/// and nobody sees anything of it.
public struct SemaphoreUndo: Sendable, Equatable {
    /// The id of the set.
    public var set: Int32
    public var index: Int
    public var pid: Int32
    /// What is added; not 0.
    public var adjustment: Int

    public init(set: Int32, index: Int, pid: Int32, adjustment: Int) {
        self.set = set
        self.index = index
        self.pid = pid
        self.adjustment = adjustment
    }

    // MARK: Asking

    private static let most = 32767
    private static let setUndo: UInt16 = 0x1000
    private static let noWait: UInt16 = 0x800
    private static let outOfRange = Int64(-ERANGE)
    /// How many semaphores are asked about in one batch.
    private static let atOnce = 128

    /// One operation: struct sembuf.
    private static func operation(_ index: Int, _ change: Int, undone: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt16(truncatingIfNeeded: index))
        bytes.append(littleEndian: Int16(truncatingIfNeeded: change))
        bytes.append(littleEndian: noWait | (undone ? setUndo : 0))
        return bytes
    }

    /// Operations that fail with ERANGE where the adjustment is at least `size` (and that much below 0 for a negative size), and
    /// with EAGAIN else.
    ///
    /// - Parameter value: of the semaphore.
    static func question(_ index: Int, value: Int, reaching size: Int) -> [UInt8] {
        // The semaphore is above 0 by then.
        test(index, value: value, reaching: size) + operation(index, 0)
    }

    /// The same about several semaphores of a set: ERANGE where the adjustment of any of them reaches the size.
    static func question(about values: [(index: Int, value: Int)], reaching size: Int) -> [UInt8] {
        let tests = values.flatMap { test($0.index, value: $0.value, reaching: size) }
        return values.last.map { tests + operation($0.index, 0) } ?? []
    }

    /// Operations that can all be made where the adjustment does not reach the size, and leave the semaphore above 0.
    private static func test(_ index: Int, value: Int, reaching size: Int) -> [UInt8] {
        var changes: [(change: Int, undone: Bool)] = [(-value, false)]
        switch size {
        case 1...: changes += [(most, false), (size - most - 1, true), (1, false)]
        // One operation cannot take away so much: two.
        case -1: changes += [(most, true), (-most, false), (1, true)]
        case _: changes += [(most + 2 + size, true)]
        }
        return changes.flatMap { operation(index, $0.change, undone: $0.undone) }
    }

    private struct Place {
        var set: Int32
        var index: Int
        var value: Int
    }

    /// Asks a process about all semaphores.
    ///
    /// - Parameters:
    ///   - sets: all of the namespace.
    ///   - run: has the process make the calls of a batch.
    public static func find(
        in sets: [(id: Int32, count: Int)], of pid: Int32, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> [SemaphoreUndo] {
        var places: [Place] = []
        for set in sets {
            // One that has gone meanwhile has no values.
            let values = (try? SystemV.semaphoreValues(set.id, count: set.count)) ?? []
            places += values.enumerated().map { Place(set: set.id, index: $0.offset, value: Int($0.element)) }
        }
        for size in [together, min(8, together)] {
            places = try suspects(among: places, atMost: size, sets, run)
        }
        var found: [SemaphoreUndo] = []
        for start in stride(from: 0, to: places.count, by: atOnce) {
            let part = Array(places[start..<min(start + atOnce, places.count)])
            let answers = try ask(part.flatMap { [($0, 1), ($0, -1)] }, run)
            for (number, place) in part.enumerated() where answers[2 * number] || answers[2 * number + 1] {
                let sign = answers[2 * number] ? 1 : -1
                found.append(
                    .init(
                        set: place.set, index: place.index, pid: pid,
                        adjustment: sign * (try size(at: place, sign: sign, run))))
            }
        }
        return found
    }

    /// How many semaphores one question may be about: semop(2) takes 500 operations, unless somebody has set another limit.
    private static let together: Int = {
        let limits = (try? Files.contents(of: "/proc/sys/kernel/sem")) ?? []
        let numbers = String(decoding: limits, as: UTF8.self).split { !$0.isNumber }
        let operations = numbers.count > 2 ? Int(numbers[2]) ?? 32 : 32
        return max(1, (min(operations, 500) - 1) / 4)
    }()

    /// The semaphores that the process may add something to: asked about many at a time, most processes have nothing to
    /// do with most semaphores.
    private static func suspects(
        among places: [Place], atMost size: Int, _ sets: [(id: Int32, count: Int)],
        _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> [Place] {
        var groups: [[Place]] = []
        for place in places {
            if let last = groups.last, last[0].set == place.set, last.count < size {
                groups[groups.count - 1].append(place)
            } else {
                groups.append([place])
            }
        }
        var batch = Batch()
        let calls = groups.map { group in
            [1, -1].map { size in
                let bytes = question(about: group.map { ($0.index, $0.value) }, reaching: size)
                let operations = batch.buffer(bytes)
                return batch.call(
                    Int(SYS_semop), .signed(group[0].set), .address(operations), .int(bytes.count / 6),
                    expecting: Batch.anything, for: "ask whether it adds anything to semaphores at its end")
            }
        }
        if calls.isEmpty { return [] }
        let result = try run(batch)
        let mustWait = Int64(-EAGAIN)
        return zip(groups, calls).flatMap { group, calls in
            // A value that somebody has changed meanwhile answers for the adjustments of others.
            let hasNone = calls.allSatisfy { result[$0] == mustWait } && isUnchanged(group, sets)
            return hasNone ? [] : group
        }
    }

    private static func isUnchanged(_ group: [Place], _ sets: [(id: Int32, count: Int)]) -> Bool {
        guard let set = sets.first(where: { $0.id == group[0].set }),
            let values = try? SystemV.semaphoreValues(set.id, count: set.count)
        else { return false }
        return group.allSatisfy { values.indices.contains($0.index) && Int(values[$0.index]) == $0.value }
    }

    /// Whether each adjustment reaches each size.
    private static func ask(
        _ questions: [(place: Place, size: Int)], _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> [Bool] {
        var batch = Batch()
        let calls = questions.map { place, size in
            let bytes = question(place.index, value: place.value, reaching: size)
            let operations = batch.buffer(bytes)
            return batch.call(
                Int(SYS_semop), .signed(place.set), .address(operations), .int(bytes.count / 6),
                expecting: Batch.anything, for: "ask what it adds to a semaphore at its end")
        }
        let result = try run(batch)
        return calls.map { result[$0] == outOfRange }
    }

    /// The largest size that is reached: in steps of 1024, of 32, of 1.
    private static func size(
        at place: Place, sign: Int, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) -> Int {
        var known = 1
        for step in [1024, 32, 1] {
            let sizes = (1...32).map { known + $0 * step }.filter { $0 <= most + (sign < 0 ? 1 : 0) }
            let answers = try ask(sizes.map { (place, sign * $0) }, run)
            known += step * answers.prefix { $0 }.count
        }
        return known
    }

    // MARK: Making

    /// Operations that leave the semaphore as it is, and the process with the adjustment: some calls, each with its operations.
    ///
    /// - Parameter value: of the semaphore.
    func calls(value: Int) -> [[UInt8]] {
        let limit = Self.most / 2
        var calls: [[UInt8]] = []
        var left = abs(adjustment)
        while left > 0 {
            let step = min(left, limit)
            // What is undone is the opposite of what is done.
            let change = adjustment > 0 ? -step : step
            let both = [
                Self.operation(index, change, undone: true), Self.operation(index, -change),
            ]
            // Whichever comes first must keep the value between 0 and the most.
            let isFirst = (0...Self.most).contains(value + change)
            calls.append((isFirst ? both : both.reversed()).flatMap { $0 })
            left -= step
        }
        return calls
    }

    /// Operations that leave a semaphore as it is, and name their maker as the last who operated on it.
    static func signature(_ index: Int, value: Int) -> [UInt8] {
        let change = value > 0 ? -1 : 1
        return operation(index, change) + operation(index, -change)
    }
}
