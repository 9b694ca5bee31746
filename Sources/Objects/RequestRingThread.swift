internal import CLinux
public import Diagnostics
internal import Linux
internal import SystemPackage
public import Tracing

/// What rings of io_uring tell one thread alone: those that only one may use (IORING_SETUP_SINGLE_ISSUER), and those that a thread
/// knows by numbers of its own instead of descriptors (IORING_REGISTER_RING_FDS).
public struct RequestRingThread: Sendable {
    /// What a ring of this thread alone has answered it.
    struct Answers: Sendable {
        let plain: RequestRing.Answers
        /// A group of buffers that is registered.
        let group: UInt16?
    }

    /// The numbers under which it knows rings.
    public private(set) var numbers: [Int] = []
    /// The descriptors of rings that numbers have been found to mean, where there are several rings.
    public var meanings: [Int: Int32] = [:]
    /// By descriptor.
    private(set) var answers: [Int32: Answers] = [:]

    /// How many numbers a thread can have (IO_RINGFD_REG_MAX of io_uring/tctx.h).
    private static let mostNumbers = 16
    /// How many rings are asked, and how many groups of buffers each: what fits into a batch.
    private static let (mostRings, mostGroups): (Int, UInt16) = (8, 16)
    /// IORING_ENTER_REGISTERED_RING.
    private static let byNumber = 1 << 4

    /// The questions of one batch, which change nothing.
    public struct Questions: Sendable {
        private let numbers: [Int]
        private let rings: [(descriptor: Int32, calls: [Int], groups: [Int])]

        /// - Parameter rings: descriptors of rings that answer one thread alone.
        public init(_ rings: [Int32], _ batch: inout Batch) {
            // To hand over no request, by a number: EBADF where there is no such one, EINVAL where there is none at all.
            numbers = (0..<mostNumbers).map { number in
                batch.call(
                    Int(SYS_io_uring_enter), .int(number), 0, 0, .int(byNumber), 0, 0, expecting: Batch.anything,
                    for: "ask whether it knows an io_uring by a number")
            }
            self.rings = rings.prefix(mostRings).map { ring in
                let calls = RequestRing.Answers.questions.map { question in
                    let rest = question.arguments
                    return batch.call(
                        question.number, .signed(ring), .value(UInt64(rest[0])), .value(UInt64(rest[1])),
                        .value(UInt64(rest[2])), 0, 0, expecting: Batch.anything,
                        for: "ask an io_uring how it is set up")
                }
                let groups = (0..<mostGroups).map { group in
                    var status: [UInt8] = []
                    status.append(littleEndian: UInt64(group))
                    let buffer = batch.buffer(status + [UInt8](repeating: 0, count: 24))
                    return batch.call(
                        Int(SYS_io_uring_register), .signed(ring), .int(Int(RequestRing.registerStatus)),
                        .address(buffer), 1, expecting: Batch.anything, for: "ask an io_uring for its buffers")
                }
                return (ring, calls, groups)
            }
        }

        public func answer(_ result: BatchResult) -> RequestRingThread {
            func error(_ call: Int) -> Errno? {
                result[call] < 0 ? Errno(rawValue: Int32(truncatingIfNeeded: -result[call])) : nil
            }
            var thread = RequestRingThread()
            // EINTR and the like are no answers; what is no number is refused in one of two ways.
            let none: Set<Errno> = [.badFileDescriptor, .invalidArgument, .noFunction]
            thread.numbers = numbers.indices.filter { index in error(numbers[index]).map { !none.contains($0) } ?? true
            }
            for ring in rings {
                let plain = RequestRing.Answers(ring.calls.map(error))
                if plain.probing == .fileExists { continue }
                let known = ring.groups.indices.filter { index in
                    let answer = error(ring.groups[index])
                    return answer != .noSuchFileOrDirectory && answer != .invalidArgument
                }
                thread.answers[ring.descriptor] = .init(plain: plain, group: known.first.map { UInt16($0) })
            }
            return thread
        }
    }
}

extension IoUring {
    /// The rings among the descriptors of a process that answer one thread alone.
    public static func ofOneThread(_ descriptors: [SeenDescriptor]) -> [Int32] {
        descriptors.filter(recognises).filter { seen in
            guard let process = try? Processes.open(thread: seen.pid),
                let own = try? Processes.descriptor(seen.number, of: process.raw)
            else { return false }
            return RequestRing.isOfOneThread(own.raw)
        }.map(\.number)
    }

    /// One descriptor of each ring that a process has.
    public static func distinct(_ descriptors: [SeenDescriptor]) -> [SeenDescriptor] {
        var found: [SeenDescriptor] = []
        for ring in descriptors where recognises(ring) {
            let isKnown = found.contains { known in
                (try? Processes.compare(known.pid, ring.pid, .file(known.number, ring.number))) == .same
            }
            if !isKnown { found.append(ring) }
        }
        return found
    }

    /// The descriptors of the rings that the numbers of a thread mean.
    ///
    /// - Throws: `unsupported-object` where it could not be found out.
    public static func meaning(
        ofNumbers thread: RequestRingThread, _ descriptors: [SeenDescriptor], thread tid: Int32,
        _ object: Problem.Object
    ) throws(Problem) -> [Int: Int32] {
        if thread.numbers.isEmpty { return [:] }
        let rings = distinct(descriptors)
        if rings.count == 1 { return Dictionary(uniqueKeysWithValues: thread.numbers.map { ($0, rings[0].number) }) }
        if thread.numbers.allSatisfy({ thread.meanings[$0] != nil }) { return thread.meanings }
        throw Problem(
            .unsupported,
            "thread \(tid) knows an io_uring by a number of its own (IORING_REGISTER_RING_FDS), and which of the"
                + " process's \(rings.count) that is cannot be found out",
            object: object,
            remedy:
                "Have the program take the number back before the dump (io_uring_unregister_ring_fd(3)), or run it on"
                + " Linux 6.3 or later")
    }
}
