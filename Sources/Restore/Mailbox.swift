internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// The memory that Apus shares with the tree while it is rebuilt: the interpreter, the control blocks, the batches.
struct Mailbox: ~Copyable {
    private let plan: RestorePlan
    let file: OwnedDescriptor
    private let region: MappedRegion

    /// Makes it and writes everything of the plan into it.
    ///
    /// - Parameter early: has one already, in whose file it is made.
    init(_ plan: RestorePlan, of early: EarlyRoot? = nil) throws(Problem) {
        do throws(Errno) {
            let file: OwnedDescriptor
            if let early { file = try early.file() } else { file = try Self.newFile(plan.mailboxSize) }
            let region = try MappedRegion(of: file.raw, offset: 4096, count: plan.mailboxSize)
            self.init(plan, file: file, region: region)
        } catch {
            throw Problem(
                .restoreFailed, "the mailbox of \(plan.mailboxSize) bytes cannot be made",
                cause: .init(error, attempted: "memfd_create, mmap"), remedy: "See that there is enough memory")
        }
        var users: [Int: Int32] = [:]
        for task in plan.tasks { users[task.usersPlace, default: 0] += Int32(task.lastingThreads.count) }
        for (place, count) in users { region.store(count, at: place) }
        for task in plan.tasks { write(task) }
        for table in plan.tables { write(table.filling) }
        for adoption in plan.adoptions {
            write(adoption.begin)
            write(adoption.end)
        }
    }

    private static func newFile(_ size: Int) throws(Errno) -> OwnedDescriptor {
        let file = try Files.memory(named: "apus-mailbox", flags: MemoryFileFlag.closeOnExec)
        try Files.truncate(file.raw, to: UInt64(4096 + size))
        try Files.write(file.raw, Husk.interpreter, at: 0)
        return file
    }

    private init(_ plan: RestorePlan, file: consuming OwnedDescriptor, region: consuming MappedRegion) {
        self.plan = plan
        self.file = file
        self.region = region
    }

    private func address(_ place: Int) -> RemoteAddress { plan.area.mailbox + place }

    private func write(_ task: RestorePlan.Task) {
        region.store(task.channel, at: task.channelPlace)
        for batch in [task.family, task.rebuild, task.threadMaking, task.sharedFilters, task.finish, task.cleanup] {
            write(batch)
        }
        for (index, thread) in task.threads.enumerated() {
            if index > 0 { write(thread.batch) }
            // One that is told later what to do has nothing to do at first but to report.
            let first = index == 0 ? task.family : task.goesStepwise ? .init() : thread.batch
            var block = ControlBlock()
            block.records = address(first.place)
            block.count = first.batch.calls.count
            block.cleanup = address(task.cleanup.place)
            block.cleanupCount = index == task.firstLasting ? task.cleanup.batch.calls.count : 0
            block.commit = address(RestorePlan.commitPlace)
            block.channel = address(task.channelPlace)
            block.frame = thread.frame
            block.own = plan.area.code..<(plan.area.mailbox + plan.mailboxSize)
            block.users = address(task.usersPlace)
            block.leave = thread.leave
            block.token = UInt64(index)
            region.store(block.encoded, at: thread.controlPlace)
        }
    }

    func write(_ batch: RestorePlan.PlacedBatch) {
        guard !batch.batch.isEmpty else { return }
        region.store(batch.batch.encoded(at: address(batch.place)), at: batch.place)
    }

    /// Points a thread's control block to a batch.
    func assign(_ batch: RestorePlan.PlacedBatch, to thread: RestorePlan.Thread) {
        region.store(address(batch.place).raw, at: thread.controlPlace)
        region.store(UInt64(batch.batch.calls.count), at: thread.controlPlace + 8)
    }

    /// How the batch of a thread ended: nil where all calls gave what was expected, else the call and its result.
    func failure(
        of batch: RestorePlan.PlacedBatch, in thread: RestorePlan.Thread
    ) -> (call: Batch.Call, result: Int64)? {
        let left = Int(region.load(UInt64.self, at: thread.controlPlace + ControlBlock.countOffset))
        guard left > 0, left <= batch.batch.calls.count else { return nil }
        let index = batch.batch.calls.count - left
        return (batch.batch.calls[index], region.load(Int64.self, at: batch.place + Batch.resultPlace(of: index)))
    }

    /// What the kernel refused and the batch could do without, in words.
    func losses(of batch: RestorePlan.PlacedBatch) -> [String] {
        batch.batch.calls.enumerated().compactMap { index, call in
            guard let loss = call.loss else { return nil }
            let result = region.load(Int64.self, at: batch.place + Batch.resultPlace(of: index))
            guard result < 0 else { return nil }
            return "\(loss) (\(Errno(rawValue: Int32(truncatingIfNeeded: -result)).name))"
        }
    }

    /// How many threads have yet to leave the memory of a task.
    func users(of task: RestorePlan.Task) -> Int32 { region.load(Int32.self, at: task.usersPlace) }

    /// The address of the commit word in Apus' own memory.
    var commitWord: UInt { region.address(of: RestorePlan.commitPlace) }

    /// The one store that decides: from here on a task whose lifeline is cut is released and does not exit.
    func commit() {
        Steps.take()
        region.store(UInt32(1), at: RestorePlan.commitPlace)
    }
}

extension Problem.Code {
    static let restoreFailed: Self = "restore-failed"
}
