internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a process under control is asked: one batch for all that concerns the process and its leader, which is answered
/// while other processes are asked; the rest, if there is any; and one batch for each other thread.
final class Interview {
    struct Answers {
        var actions: SignalActions
        var timers: TaskTimersEntry
        var attributes: ProcessAttributes
        var peculiarities: ProcessAttributes.Peculiarities
        var threads: [ThreadAttributes]
        /// As many as `threads`.
        var status: [TaskStatus]
        /// Of a 32-bit program, as many as `threads`.
        var compat: [CompatThread] = []
        var session: Keyrings.Session?
        var deadRings: Set<UInt64> = []
        var policies = MemoryPolicies()
        var protectionKeys: [Int] = []
        var undo: [SemaphoreUndo] = []
    }

    /// The first batch, and where in it the answers will be.
    private struct Questions {
        let batch: Batch
        let status: TaskStatus
        let actions: SignalActions.Questions
        let timers: Timers.Questions
        let attributes: ProcessAttributes.Questions
        let peculiarities: ProcessAttributes.Peculiarities.Questions
        let leader: ThreadAttributes.Questions
        let compat: CompatThread.Questions?
        let rings: AsyncRing.Questions
        let keys: ProtectionKeys
        let policies: MemoryPolicies.Modes
        /// Mappings that are yet to be asked about.
        let rest: ArraySlice<(area: MappedArea, kind: AreaKind)>
        let session: (question: Keyrings.SessionQuestion, maker: Int, calls: Batch)?
    }

    private let process: FrozenProcess
    private let surveyed: SurveyedProcess
    private let control: RemoteControl
    /// The sets of semaphores that it may have to adjust at its end.
    private let sets: [(id: Int32, count: Int)]
    private var questions: Questions?
    /// Its rings of io_uring that answer one thread alone: all are asked.
    private let rings: [Int32]

    init(
        _ process: FrozenProcess, _ surveyed: SurveyedProcess, _ control: RemoteControl,
        sets: [(id: Int32, count: Int)]
    ) {
        self.process = process
        self.surveyed = surveyed
        self.control = control
        self.sets = sets
        rings = IoUring.ofOneThread(surveyed.descriptors)
    }

    /// Asks about the process and its leader, and does not wait for the answer.
    func begin(_ domains: LandlockDomains) throws(Problem) {
        let status = try status(of: process.threads[0])
        var batch = Batch()
        let actions = SignalActions.Questions(&batch)
        let timers = Timers.Questions(surveyed.timers, &batch)
        let attributes = ProcessAttributes.Questions(&batch)
        let peculiarities = ProcessAttributes.Peculiarities.Questions(&batch)
        let leader = ThreadAttributes.Questions(
            &batch, bystander: domains.bystander(of: status), rings: self.rings)
        let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
        let rings = AsyncRing.Questions(
            surveyed.areas.filter { $0.kind == .asyncIO }.map(\.area.range.lowerBound), &batch)
        let keys = ProtectionKeys(surveyed, &batch)
        var rest = surveyed.areas[...]
        let policies = MemoryPolicies.Modes(&rest, &batch)
        // The last of the batch: a kernel that refuses the child ends it there.
        let session = try askSession(&batch)
        try control.post(batch)
        questions = Questions(
            batch: batch, status: status, actions: actions, timers: timers, attributes: attributes,
            peculiarities: peculiarities, leader: leader, compat: compat, rings: rings, keys: keys, policies: policies,
            rest: rest, session: session)
    }

    /// Hears what the process says, and asks the rest.
    func complete(_ domains: LandlockDomains) throws(Problem) -> Answers {
        guard let asked = questions else { preconditionFailure("nothing has been asked") }
        let result = try control.answer(to: asked.batch)
        if result.failedCall != asked.session?.maker { try result.check() }
        var answers = Answers(
            actions: asked.actions.answer(result), timers: asked.timers.answer(result),
            attributes: asked.attributes.answer(result), peculiarities: asked.peculiarities.answer(result),
            threads: [asked.leader.answer(result)], status: [asked.status],
            compat: asked.compat.map { [$0.answer(result)] } ?? [], deadRings: asked.rings.dead(result),
            protectionKeys: asked.keys.answer(result))
        if let session = asked.session, result.failedCall == nil {
            answers.session = session.question.answer(try control.collect(ofChild: session.calls))
        }
        try answers.policies.complete(asked.policies.answer(result), asked.rest, control)
        answers.undo = try SemaphoreUndo.find(in: sets, of: process.pid, control.run)
        try identifyRings(of: &answers.threads[0].rings) { batch throws(Problem) in try control.run(batch) }
        try judge(answers.threads[0].landlock, asked.status, process.threads[0], domains)
        for thread in process.threads.dropFirst() { try ask(thread, domains, &answers) }
        return answers
    }

    private func ask(_ thread: Tracee, _ domains: LandlockDomains, _ answers: inout Answers) throws(Problem) {
        let status = try self.status(of: thread)
        var batch = Batch()
        let questions = ThreadAttributes.Questions(&batch, bystander: domains.bystander(of: status), rings: rings)
        let compat = control.isCompat ? CompatThread.Questions(&batch) : nil
        let result = try control.run(batch, on: thread)
        try result.check()
        var told = questions.answer(result)
        try identifyRings(of: &told.rings) { batch throws(Problem) in try control.run(batch, on: thread) }
        answers.threads.append(told)
        answers.status.append(status)
        try judge(answers.threads.last?.landlock, status, thread, domains)
        if let compat { answers.compat.append(compat.answer(result)) }
    }

    /// Finds out which rings the numbers of a thread mean, where there are several.
    private func identifyRings(
        of thread: inout RequestRingThread, _ run: (Batch) throws(Problem) -> BatchResult
    ) throws(Problem) {
        guard !thread.numbers.isEmpty else { return }
        var batch = Batch()
        guard let question = RequestRingNumbers(thread.numbers, IoUring.distinct(surveyed.descriptors), &batch) else {
            return
        }
        thread.meanings = question.answer(try run(batch))
    }

    private func judge(
        _ answer: Landlock.Answer?, _ status: TaskStatus, _ thread: Tracee, _ domains: LandlockDomains
    ) throws(Problem) {
        try domains.judge(answer, status, surveyed.object) { () throws(Problem) in
            guard !control.isCompat, status.seccompMode ?? 0 == 0 else { return nil }
            let question = Landlock.LayerQuestion()
            return try control.run(question.calls, inChildOf: thread).map(question.answer)
        }
    }

    /// Adds a child that asks for the session keyring, where there may be any.
    private func askSession(
        _ batch: inout Batch
    ) throws(Problem) -> (question: Keyrings.SessionQuestion, maker: Int, calls: Batch)? {
        guard Keyrings.mayHaveSessions, !control.isCompat, surveyed.status.seccompMode ?? 0 == 0 else { return nil }
        let question = Keyrings.SessionQuestion()
        let (maker, calls) = try control.addChild(making: question.calls, to: &batch)
        return (question, maker, calls)
    }

    private func status(of thread: Tracee) throws(Problem) -> TaskStatus {
        // The survey of the still tree has read that of one of them already.
        if thread.tid == surveyed.pid { return surveyed.status }
        do throws(ProcfsError) { return try ProcessDirectory(thread.pid, thread: thread.tid).status() } catch {
            throw Problem(
                .objectUnreadable, "its state cannot be read", object: surveyed.object,
                cause: .init(error.errno ?? .ioError, attempted: "read of \(error.file)"), remedy: "Run Apus as root")
        }
    }
}
