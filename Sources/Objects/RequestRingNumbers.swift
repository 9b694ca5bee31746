internal import CLinux
public import Tracing

/// The question which rings of io_uring the numbers of a thread mean (IORING_REGISTER_RING_FDS), to be asked by that thread.
///
/// No call tells. But a ring that has no registered files can be given an empty table of them by its descriptor; and where that table can be
/// taken away by a number, the number means this ring. Afterwards the ring is as it was. All is done in one batch, which is made to its
/// end also if Apus is killed.
public struct RequestRingNumbers {
    private let pairs: [(number: Int, ring: Int32, taking: Int)]

    /// What fits into a batch.
    private static let mostPairs = 200
    /// IORING_REGISTER_FILES2, IORING_UNREGISTER_FILES, IORING_REGISTER_USE_REGISTERED_RING (Linux 6.3).
    private static let (register, unregister, byNumber) = (13, 3, 1 << 31)
    /// sizeof(struct io_uring_rsrc_register), which begins with a count and IORING_RSRC_REGISTER_SPARSE.
    private static let (tableSize, sparse) = (32, 1)

    /// - Parameters:
    ///   - rings: all that there are, each once.
    ///   - batch: to which the calls are added.
    /// - Returns: nil where nothing needs to be asked, or not so.
    public init?(_ numbers: [Int], _ rings: [SeenDescriptor], _ batch: inout Batch) {
        // A table of the program's own must not be taken away.
        let plain = rings.filter { IoUring.State($0)?.fileCount == 0 }
        guard rings.count > 1, numbers.count * plain.count <= Self.mostPairs else { return nil }
        let table = batch.space(Self.tableSize)
        batch.store(1 | Self.sparse << 32, in: table)
        var pairs: [(number: Int, ring: Int32, taking: Int)] = []
        for ring in plain {
            for number in numbers {
                batch.call(
                    Int(SYS_io_uring_register), .signed(ring.number), .int(Self.register), .address(table),
                    .int(Self.tableSize), expecting: Batch.anything, for: "give an io_uring an empty table of files")
                let taking = batch.call(
                    Int(SYS_io_uring_register), .int(number), .int(Self.unregister | Self.byNumber), 0, 0,
                    expecting: Batch.anything, for: "take it away by a number")
                batch.call(
                    Int(SYS_io_uring_register), .signed(ring.number), .int(Self.unregister), 0, 0,
                    expecting: Batch.anything, for: "take it away")
                pairs.append((number, ring.number, taking))
            }
        }
        self.pairs = pairs
    }

    /// The descriptors that the numbers mean, as far as they could be found.
    public func answer(_ result: BatchResult) -> [Int: Int32] {
        Dictionary(pairs.filter { result[$0.taking] == 0 }.map { ($0.number, $0.ring) }) { first, _ in first }
    }
}
