internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import Tracing

/// Asks a process for the policies of its memory (get_mempolicy(2)): nothing outside shows them but
/// `/proc/PID/numa_maps`, for which the kernel walks through all page tables. To ask takes a tenth of a microsecond for a
/// mapping, and is done on hosts with one node, too: what is carried is what the program has said, for hosts with more.
struct MemoryPolicies: Sendable {
    private(set) var found: [MemoryTraits.Placed] = []
    /// Shared memory of which parts have policies of their own, given by other processes.
    private(set) var mixed: [Range<UInt64>] = []

    init() {}

    private static let byAddress = 2  // MPOL_F_ADDR
    /// Of a batch, in bytes: less than the mailbox has.
    private static let room = 192 * 1024

    /// Asks the rest, and which nodes.
    ///
    /// - Parameters:
    ///   - answer: to the first questions.
    ///   - areas: which have not been asked about.
    mutating func complete(
        _ answer: (found: [MappedArea], mixed: [MappedArea]),
        _ areas: ArraySlice<(area: MappedArea, kind: AreaKind)>, _ control: RemoteControl
    ) throws(Problem) {
        var (with, rest) = (answer.found, areas)
        mixed += answer.mixed.map(\.range)
        while !rest.isEmpty {
            var batch = Batch()
            let modes = Modes(&rest, &batch)
            let answer = modes.answer(try control.run(batch))
            with += answer.found
            mixed += answer.mixed.map(\.range)
        }
        var left = with[...]
        while !left.isEmpty {
            var batch = Batch()
            var questions: [(MappedArea, MemoryPolicyQuestion)] = []
            while batch.encodedSize < Self.room, let area = left.popFirst() {
                questions.append((area, MemoryPolicyQuestion(at: area.range.lowerBound, &batch)))
            }
            let result = try control.run(batch)
            for (area, question) in questions {
                if let policy = question.answer(result) { found.append(.init(range: area.range, policy: policy)) }
            }
        }
    }

    /// Whether mappings have any policy: questions about a part of them, as many as one batch can take along.
    struct Modes: Sendable {
        private var questions: [(area: MappedArea, modes: Batch.Buffer, isLast: Bool)] = []

        /// - Parameters:
        ///   - areas: what is left to ask about; those that are asked about are taken away.
        init(_ areas: inout ArraySlice<(area: MappedArea, kind: AreaKind)>, _ batch: inout Batch) {
            while batch.encodedSize < MemoryPolicies.room, let (area, kind) = areas.popFirst() {
                if kind == .vdso || kind == .vvar || kind == .vsyscall { continue }
                ask(area, area.range.lowerBound, isLast: false, &batch)
                // A part of shared memory may have another policy, given by another process.
                if area.isShared { ask(area, area.range.upperBound - Pagemap.pageSize, isLast: true, &batch) }
            }
        }

        private mutating func ask(_ area: MappedArea, _ address: UInt64, isLast: Bool, _ batch: inout Batch) {
            let mode = batch.space(4, alignment: 4)
            batch.call(
                Int(SYS_get_mempolicy), .address(mode), 0, 0, .value(address), .int(byAddress),
                expecting: Batch.anything, for: "ask on which nodes its memory is")
            questions.append((area, mode, isLast))
        }

        /// - Returns: the mappings with a policy; of shared memory those whose ends have the same.
        func answer(_ result: BatchResult) -> (found: [MappedArea], mixed: [MappedArea]) {
            var (found, mixed) = ([MappedArea](), [MappedArea]())
            var first: Int32 = 0
            for question in questions {
                let mode = result.integer(Int32.self, in: question.modes)
                if !question.isLast {
                    first = mode
                    if mode != 0 && !question.area.isShared { found.append(question.area) }
                } else if mode != first {
                    mixed.append(question.area)
                } else if mode != 0 {
                    found.append(question.area)
                }
            }
            return (found, mixed)
        }
    }
}
