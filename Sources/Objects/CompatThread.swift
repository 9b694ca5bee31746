internal import CLinux
public import Images
internal import Linux
public import SystemPackage
public import Tracing

/// What a thread of a 32-bit program has, beside what every thread has: segments in the descriptor table for its
/// thread-local storage, and a list of robust futexes of its own kind.
public struct CompatThread: Sendable {
    public var robustList: UInt64
    public var robustListLength: UInt32

    /// get_robust_list of i386 (asm/unistd_32.h).
    private static let getRobustList = 312

    /// The questions of one batch.
    public struct Questions: Sendable {
        let head, length: Batch.Buffer

        public init(_ batch: inout Batch) {
            head = batch.space(8)
            length = batch.space(8)
            batch.call(
                CompatThread.getRobustList, 0, .address(head), .address(length),
                for: "read its list of robust futexes")
            batch.makeLastCompat()
        }

        public func answer(_ result: BatchResult) -> CompatThread {
            CompatThread(
                robustList: UInt64(result.integer(UInt32.self, in: head)),
                robustListLength: result.integer(UInt32.self, in: length))
        }
    }

    /// Puts what belongs to 32-bit programs into the image of a thread.
    public func complete(_ core: inout CoreEntry, of tid: Int32) throws(Errno) {
        var segments: [UserDescT] = []
        for number in [12, 13, 14] as [UInt32] { segments.append(Self.segment(try Ptrace.threadArea(tid, number))) }
        core.threadInfo.tls = segments
        core.threadInfo.gpregs.mode = .compat
        core.threadCore.futexRla = robustList
        core.threadCore.futexRlaLen = robustListLength
    }

    private static func segment(_ area: apus_user_desc) -> UserDescT {
        func has(_ bit: UInt32) -> Bool { area.flags & bit != 0 }
        var segment = UserDescT()
        segment.entryNumber = area.entry_number
        segment.baseAddr = area.base_addr
        segment.limit = area.limit
        segment.seg32Bit = has(1)
        segment.contentsL = has(2)
        segment.contentsH = has(4)
        segment.readExecOnly = has(8)
        segment.limitInPages = has(16)
        segment.segNotPresent = has(32)
        segment.usable = has(64)
        return segment
    }

    /// `struct user_desc` of set_thread_area(2) for a segment of an image.
    public static func description(_ segment: UserDescT) -> [UInt8] {
        let bits: [(Bool, UInt32)] = [
            (segment.seg32Bit, 1), (segment.contentsL, 2), (segment.contentsH, 4), (segment.readExecOnly, 8),
            (segment.limitInPages, 16), (segment.segNotPresent, 32), (segment.usable, 64),
        ]
        var bytes: [UInt8] = []
        for value in [
            segment.entryNumber, segment.baseAddr, segment.limit, bits.reduce(0) { $1.0 ? $0 | $1.1 : $0 },
        ] { bytes.append(littleEndian: value) }
        return bytes
    }
}
