internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Objects
internal import Tracing

/// Protection keys (pkeys(7)): `/proc/PID/smaps` tells which mapping has which, the extended state what a thread may do with
/// each. Which keys are allocated the process has to be asked.
struct ProtectionKeys {
    private let calls: [(key: Int, index: Int)]

    /// Asks for memory that is not there to be given each key: the kernel looks first whether the key is allocated
    /// (`do_mprotect_pkey` of mm/mprotect.c). So nothing is changed, neither keys nor what a thread may do with them, which
    /// pkey_alloc(2) would do.
    init(_ surveyed: SurveyedProcess, _ batch: inout Batch) {
        var calls: [(key: Int, index: Int)] = []
        if Self.areThere(surveyed) {
            let hole = Self.hole(in: surveyed.areas.map(\.area.range))
            for key in MemoryTraits.possibleKeys {
                let index = batch.call(
                    Int(SYS_pkey_mprotect), .value(hole), .value(Pagemap.pageSize), 0, .int(key),
                    expecting: Batch.anything, for: "ask whether protection key \(key) is allocated")
                calls.append((key, index))
            }
        }
        self.calls = calls
    }

    /// - Returns: the keys that are allocated.
    func answer(_ result: BatchResult) -> [Int] {
        let noMemory: Int64 = -12
        return calls.filter { result[$0.index] == noMemory }.map(\.key)
    }

    /// The kernel shows keys where the processor has some.
    private static func areThere(_ surveyed: SurveyedProcess) -> Bool {
        surveyed.areas.contains { $0.area.details?.protectionKey != nil }
    }

    /// A page that is not mapped; the first one hardly ever is.
    static func hole(in ranges: [Range<UInt64>]) -> UInt64 {
        var hole: UInt64 = 0
        for range in ranges where range.lowerBound <= hole { hole = max(hole, range.upperBound) }
        return hole
    }

    /// A thread that denies itself the key of all ordinary memory could not be asked anything: its next step would be
    /// SIGSEGV.
    static func refuseDenied(_ process: FrozenProcess, _ surveyed: SurveyedProcess) throws(Problem) {
        guard areThere(surveyed), let place = ExtendedStateLayout.current.places[.protectionKeys] else { return }
        for thread in process.threads {
            guard let area = try? Ptrace.extendedState(thread.tid), area.count >= place.upperBound else { continue }
            let rights = area.littleEndian(UInt32.self, at: place.lowerBound)
            let isInUse = area[512 + 1] & 2 != 0
            if isInUse && rights & 3 != 0 {
                throw Problem(
                    .unsupported, "thread \(thread.tid) has denied itself all memory without a protection key (key 0)",
                    object: surveyed.object, remedy: "Dump it at another moment")
            }
        }
    }
}
