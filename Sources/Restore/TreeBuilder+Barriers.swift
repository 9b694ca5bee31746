internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Having tasks work at the same time, and waiting for all of them.
extension TreeBuilder {
    /// What is to be heard from one task.
    struct Expectation {
        let task: RestorePlan.Task
        /// By token, the batch whose end the thread is to report. What was heard is taken out.
        private(set) var batches: [Int: RestorePlan.PlacedBatch]
        /// Any one of the threads speaks for all.
        let isAnybodys: Bool
        /// Its threads take commands one by one, and a thread that takes a second one has another told in its place.
        let goesStepwise: Bool

        init(
            of task: RestorePlan.Task, _ batches: [Int: RestorePlan.PlacedBatch], isAnybodys: Bool = false,
            goesStepwise: Bool = false
        ) {
            self.task = task
            self.batches = batches
            self.isAnybodys = isAnybodys
            self.goesStepwise = goesStepwise
        }

        var isMet: Bool { batches.isEmpty }

        /// - Returns: the batch that the thread has run; nil for one that was not to be heard from.
        mutating func take(_ token: UInt64) -> RestorePlan.PlacedBatch? {
            let token = Int(clamping: token)
            let batch = batches.removeValue(forKey: token)
            if isAnybodys { batches = [:] }
            return batch
        }
    }

    func command(_ task: RestorePlan.Task) throws(Problem) {
        Steps.take()
        try channels[task.pid]?.channel.command(pid: task.pid)
    }

    /// Has tasks make one of their batches, all at the same time, and waits for all.
    ///
    /// - Parameter isFirstAlone: the others set themselves going.
    func barrier(
        _ which: KeyPath<RestorePlan.Task, RestorePlan.PlacedBatch>, tasks: [RestorePlan.Task],
        isFirstAlone: Bool = false
    ) throws(Problem) {
        for task in tasks where !isFirstAlone || task.pid == first.pid {
            // The room of the root's rebuilding was lent to the batch that cleared the memory.
            if task.pid == root.pid { mailbox.write(task[keyPath: which]) }
            mailbox.assign(task[keyPath: which], to: task.threads[0])
            try command(task)
        }
        started = plan.tasks.map(\.pid)
        // One that ends does not report.
        let reporting = tasks.filter { which != \RestorePlan.Task.rebuild || $0.state != .dead }
        try collect(reporting.map { Expectation(of: $0, [0: $0[keyPath: which]]) })
    }

    /// The last barrier: threads, credentials, filters, signals.
    func finish() throws(Problem) {
        let live = plan.tasks.filter { $0.state != .dead }
        let stepwise = live.filter(\.goesStepwise)
        try makeThreads(stepwise)
        try suspendSeccomp()
        try shareFilters(stepwise)
        var expected: [Expectation] = []
        for task in live {
            var batches: [Int: RestorePlan.PlacedBatch] = [:]
            for (index, thread) in zip(task.threads.indices, task.threads).dropFirst(task.firstLasting) {
                batches[index] = index == task.firstLasting ? task.finish : thread.batch
            }
            expected.append(Expectation(of: task, batches, goesStepwise: task.goesStepwise))
            if task.pid == root.pid { mailbox.write(task.finish) }
            mailbox.assign(task.finish, to: task.threads[task.firstLasting])
            if task.goesStepwise {
                for (index, batch) in batches { mailbox.assign(batch, to: task.threads[index]) }
                for _ in batches { try command(task) }
            } else {
                try command(task)
            }
        }
        try collect(expected)
    }

    /// Makes the threads of tasks that go on step by step; a first thread that ends does so now.
    private func makeThreads(_ tasks: [RestorePlan.Task]) throws(Problem) {
        var expected: [Expectation] = []
        for task in tasks {
            var batches: [Int: RestorePlan.PlacedBatch] = task.leaderEnds ? [:] : [0: task.threadMaking]
            for index in task.threads.indices.dropFirst() { batches[index] = .init() }
            expected.append(Expectation(of: task, batches))
            mailbox.assign(task.threadMaking, to: task.threads[0])
            try command(task)
        }
        try collect(expected)
        for task in tasks where task.leaderEnds { try awaitEnd(of: task) }
    }

    /// Installs what all threads of a process have in common, in whichever of them hears the command.
    private func shareFilters(_ tasks: [RestorePlan.Task]) throws(Problem) {
        var expected: [Expectation] = []
        for task in tasks where !task.sharedFilters.batch.isEmpty {
            var batches: [Int: RestorePlan.PlacedBatch] = [:]
            for (index, thread) in zip(task.threads.indices, task.threads).dropFirst(task.firstLasting) {
                batches[index] = task.sharedFilters
                mailbox.assign(task.sharedFilters, to: thread)
            }
            expected.append(Expectation(of: task, batches, isAnybodys: true))
            try command(task)
        }
        try collect(expected)
    }

    private func awaitEnd(of task: RestorePlan.Task) throws(Problem) {
        let limit = Deadline(nanoseconds: 5_000_000_000)
        while (try? ProcessDirectory(task.pid, thread: task.pid).stat())?.state != .zombie {
            if limit.isPast { throw died(task) }
            usleep(100)
        }
    }

    /// Waits until every task has reported everything that is expected of it.
    ///
    /// - Throws: what the first batch that failed failed of; that a task died; `timed-out`.
    func collect(_ expectations: [Expectation]) throws(Problem) {
        roundTrips += expectations.count
        var waiting = expectations
        var heard = 0
        while heard < waiting.count {
            if waiting[heard].isMet {
                heard += 1
                progress.update("rebuilding processes", done: UInt64(heard), of: UInt64(waiting.count))
                continue
            }
            // Most report in the order in which they were told. To ask the kernel about all of them each time would take the
            // longer the more there are; that is for those that keep the others waiting, or never report.
            var next = [entry(of: waiting[heard])]
            if (try? Files.poll(&next, timeout: deadline.remaining(atMost: 1_000_000))) ?? 0 > 0 {
                try hear(&waiting[heard])
            } else {
                try hearAny(of: &waiting, from: heard)
            }
            if Cancellation.requested || deadline.isPast { try lookAfter(waiting.filter { !$0.isMet }) }
        }
    }

    private func entry(of expected: Expectation) -> Files.PollEntry {
        Files.PollEntry(channels[expected.task.pid]?.channel.raw ?? -1, .readable)
    }

    /// Waits for whichever task reports next.
    private func hearAny(of waiting: inout [Expectation], from start: Int) throws(Problem) {
        let left = waiting.indices[start...].filter { !waiting[$0].isMet }
        var entries = left.map { entry(of: waiting[$0]) }
        let ready = (try? Files.poll(&entries, timeout: deadline.remaining(atMost: 20_000_000))) ?? 0
        if ready == 0 { return try lookAfter(left.map { waiting[$0] }) }
        for (index, entry) in zip(left, entries) where entry.returned != [] { try hear(&waiting[index]) }
    }

    /// Takes all that has come from a task.
    private func hear(_ expected: inout Expectation) throws(Problem) {
        let task = expected.task
        while !expected.isMet {
            switch channels[task.pid]?.channel.nextReport() ?? .gone {
            case .token(let token):
                heardFrom.insert(task.pid)
                guard let thread = task.threads.indices.contains(Int(clamping: token)) ? Int(token) : nil else {
                    throw died(task)
                }
                if let batch = expected.take(token) {
                    try check(batch, of: task, task.threads[thread])
                    losses += mailbox.losses(of: batch).map { "process \(task.pid) (\(task.name)): \($0)" }
                } else if expected.goesStepwise {
                    // No step of its own: how often it happens is chance, and tests count steps.
                    try channels[task.pid]?.channel.command(pid: task.pid)
                } else {
                    // A first thread that was to end, and could not do what comes before.
                    try check(task.threadMaking, of: task, task.threads[thread])
                }
            case .gone: throw died(task)
            case .nothing: return
            }
        }
    }

    /// Nothing has come for a while: looks whether anything ever will.
    private func lookAfter(_ waiting: [Expectation]) throws(Problem) {
        if deadline.isPast || Cancellation.requested {
            throw Cancellation.problem
                ?? Problem(
                    .timedOut, "the processes were not rebuilt in time",
                    object: .init(pid: waiting.first?.task.pid),
                    remedy: "Try again on a host with less load")
        }
        for task in waiting.map(\.task) where task.state != .dead && !task.leaderEnds {
            // One that has not reported yet may not have been made.
            guard heardFrom.contains(task.pid) else { continue }
            let state = (try? ProcessDirectory(task.pid).stat())?.state
            if state == nil || state == .zombie { throw died(task) }
        }
        if let ended = try? Processes.wait(for: root.pid, [.noHang, .all]), ended.pid == root.pid,
            root.state != .dead
        {
            started.removeAll { $0 == root.pid }
            throw died(root)
        }
    }

    func died(_ task: RestorePlan.Task) -> Problem {
        Problem(
            .restoreFailed, "it ended while it was being rebuilt",
            object: .init(pid: task.pid, process: task.name),
            remedy: "Look in the kernel log whether it was killed (out of memory?)")
    }

    func check(
        _ batch: RestorePlan.PlacedBatch, of task: RestorePlan.Task, _ thread: RestorePlan.Thread
    ) throws(Problem) {
        guard let (call, result) = mailbox.failure(of: batch, in: thread) else { return }
        throw CallFailure.problem(call, result, task: task)
    }
}
