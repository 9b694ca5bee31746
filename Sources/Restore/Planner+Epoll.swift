internal import CLinux
internal import Diagnostics
internal import Images
internal import Objects
internal import Tracing

/// What epoll sets watch.
///
/// The kernel knows it by open file description and number, so it is added where the description has that number for a
/// moment: before any descriptor is in its final place, since the number may mean something else by now. What is then
/// closed or replaced stays watched, because the description is open elsewhere.
extension Planner {
    /// The numbers that sets know something by, and what each is to mean while they are filled.
    static func watchedNumbers(_ images: CheckpointImages) -> [Int32: Set<FileTable.Key?>] {
        var meanings: [Int32: Set<FileTable.Key?>] = [:]
        for (key, entry) in images.files.entries where entry.hasEpfd {
            let watches = (try? EpollWatch.all(of: entry.epfd, images.supplement)) ?? []
            let holders = watches.contains { $0.target == nil } ? Holders(of: key, in: images) : nil
            for watch in watches {
                meanings[watch.number, default: []].insert(watch.target ?? holders?.target(watch.number))
            }
        }
        return meanings
    }

    /// Adds what is watched by the sets that this task has to fill.
    mutating func composeEpollSets(_ index: Int, in batch: inout Batch) {
        // To disable a watch its set is asked for events, and nothing else may have any yet.
        composeEpollSets(index, in: &batch) { $0.isDisabled }
        composeEpollSets(index, in: &batch) { !$0.isDisabled }
    }

    private mutating func composeEpollSets(
        _ index: Int, in batch: inout Batch, where isWanted: (EpollWatch) -> Bool
    ) {
        var done: Set<FileTable.Key> = []
        for descriptor in images.tasks[index].descriptors where descriptor.type == .eventpoll {
            let key = FileTable.Key(descriptor.type, descriptor.id)
            guard done.insert(key).inserted, let entry = images.files.entries[key], entry.hasEpfd else { continue }
            let holders = Holders(of: key, in: images)
            do throws(Problem) {
                for watch in try EpollWatch.all(of: entry.epfd, images.supplement) where isWanted(watch) {
                    try compose(watch, of: key, holders, in: index, &batch)
                }
            } catch {
                if !problems.contains(error) { problems.append(error) }
            }
        }
    }

    private mutating func compose(
        _ watch: EpollWatch, of set: FileTable.Key, _ holders: Holders, in index: Int, _ batch: inout Batch
    ) throws(Problem) {
        guard let target = watch.target ?? holders.target(watch.number) else {
            throw Problem(
                .imageUnsuitable,
                "the images do not say what epoll set \(set.id) watches as descriptor \(watch.number)",
                object: .init(pid: images.tasks[index].pid, process: images.tasks[index].task.commText),
                remedy: "Copy the images again, all of them")
        }
        guard holders.adder(of: target) == index, let source = descriptor(target), let own = descriptor(set) else {
            return
        }
        fetch(source, in: &batch)
        let add = 1  // EPOLL_CTL_ADD
        let event = batch.buffer((watch.isDisabled ? watch.expectingAnything : watch).bytes)
        if source != watch.number {
            batch.call(Int(SYS_dup3), .signed(source), .signed(watch.number), 0, for: "lend number \(watch.number)")
        }
        batch.call(
            Int(SYS_epoll_ctl), .signed(own), .int(add), .signed(watch.number), .address(event),
            for: "have epoll set \(set.id) watch descriptor \(watch.number)")
        if watch.isDisabled { disable(watch, own, in: &batch) }
    }

    /// A watch that is to report once (EPOLLONESHOT) and has done so reports nothing, not even errors: a state to which only a
    /// report leads. Almost everything has something to report; what has not gets as near as epoll_ctl(2) allows, and
    /// would report an error.
    private func disable(_ watch: EpollWatch, _ set: Int32, in batch: inout Batch) {
        let modify = 3  // EPOLL_CTL_MOD
        var bytes = [UInt8](repeating: 0, count: 16)
        // A report overwrites the number of the set, and with it what the change below is made to.
        for place in 0..<4 { bytes[place] = UInt8(truncatingIfNeeded: set >> Int32(8 * place)) }
        let report = batch.buffer(bytes)
        batch.call(Int(SYS_epoll_wait), .signed(set), .address(report), 1, 0, for: "take what is reported once")
        let event = batch.buffer(watch.bytes)
        batch.call(
            Int(SYS_epoll_ctl), .int32(report.part(0, 4)), .int(modify), .signed(watch.number), .address(event),
            expecting: Batch.anything)
    }
}

/// The tasks that have a set open.
private struct Holders {
    /// Their indices, and what is behind their descriptors.
    let tables: [(index: Int, keys: [UInt32: FileTable.Key])]

    init(of set: FileTable.Key, in images: CheckpointImages) {
        tables = images.tasks.enumerated().compactMap { index, task in
            guard task.descriptors.contains(where: { $0.type == set.type && $0.id == set.id }) else { return nil }
            let keys = task.descriptors.map { ($0.fd, FileTable.Key($0.type, $0.id)) }
            return (index, Dictionary(keys) { first, _ in first })
        }
    }

    /// What a number means, in the first table that has it.
    func target(_ number: Int32) -> FileTable.Key? {
        tables.lazy.compactMap { $0.keys[UInt32(bitPattern: number)] }.first
    }

    /// The task that adds a description to the set. The signals that a signalfd waits for are those of who adds it: a
    /// task that holds both.
    func adder(of target: FileTable.Key) -> Int? {
        let own = target.type == .signalfd ? tables.first { $0.keys.values.contains(target) } : nil
        return (own ?? tables.first)?.index
    }
}
