internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import Tracing

/// Takes several processes through the capture at a time. Each has a dozen stops on its way, at which Apus would wait for it
/// to be woken; so each step is begun in all of them before any is waited for.
struct CaptureRound {
    /// More would not wait less, and more would have to find back by themselves if Apus were killed.
    static let size = 16

    /// A process of the tree with what belongs to it, by its place in the tree.
    typealias Member = (index: Int, process: FrozenProcess, surveyed: SurveyedProcess)

    /// Divides processes into rounds.
    ///
    /// Some go alone: those with one memory have the code of Apus in one place, and in one table of descriptors there may be
    /// room for one channel only.
    ///
    /// - Parameter ids: what each has in common with others; nil for one that has ended.
    static func rounds(
        _ processes: some Sequence<(FrozenProcess, SurveyedProcess)>, _ ids: [TaskKobjIdsEntry?]
    ) -> [[Member]] {
        let living = ids.compactMap(\.self)
        let memories = Dictionary(living.map { ($0.vmID, 1) }, uniquingKeysWith: +)
        let tables = Dictionary(living.map { ($0.filesID, 1) }, uniquingKeysWith: +)
        var rounds: [[Member]] = []
        var current: [Member] = []
        func close() {
            if !current.isEmpty { rounds.append(current) }
            current = []
        }
        for ((index, (process, surveyed)), own) in zip(processes.enumerated(), ids) {
            let member = (index, process, surveyed)
            if let own, memories[own.vmID] != 1 || tables[own.filesID] != 1 {
                close()
                rounds.append([member])
                continue
            }
            current.append(member)
            if current.count == size { close() }
        }
        close()
        return rounds
    }

    private let captures: [ProcessCapture]

    init(_ captures: [ProcessCapture]) { self.captures = captures }

    /// Asks all of them.
    ///
    /// - Throws: all processes are as they were then.
    func run(
        _ twins: inout Twins, _ domains: LandlockDomains, _ queues: inout PosixQueueContents,
        watching: WriteTracking? = nil
    ) throws(Problem) {
        do throws(Problem) {
            try Processes.urgently { () throws(Problem) in
                try all { capture throws(Problem) in try capture.enterFurther() }
                for capture in captures { try capture.ask(domains) }
                for capture in captures { try capture.hear(&twins, domains, &queues, watching) }
                try all { capture throws(Problem) in try capture.leaveFurther() }
            }
        } catch {
            captures.forEach { $0.abandon() }
            throw error
        }
    }

    /// Takes a step in each process after the other, until all have come to the end of their way.
    private func all(_ step: (ProcessCapture) throws(Problem) -> Bool) throws(Problem) {
        var left = captures
        while !left.isEmpty {
            var next: [ProcessCapture] = []
            for capture in left where try !step(capture) { next.append(capture) }
            left = next
        }
    }
}
