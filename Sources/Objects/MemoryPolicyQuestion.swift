internal import CLinux
public import Images
public import Tracing

/// One policy, of a thread or at an address.
public struct MemoryPolicyQuestion: Sendable {
    private let mode, mask: Batch.Buffer
    private let index: Int

    public static let byAddress = 2  // MPOL_F_ADDR
    /// What get_mempolicy(2) wants to be told: one more than there are bits.
    private static let bits = MemoryPolicy.nodeLimit + 1

    /// - Parameter address: nil for the policy of the thread.
    public init(at address: UInt64? = nil, _ batch: inout Batch) {
        mode = batch.space(8)
        mask = batch.space(MemoryPolicy.nodeLimit / 8)
        index = batch.call(
            Int(SYS_get_mempolicy), .address(mode), .address(mask), .int(Self.bits), .value(address ?? 0),
            .int(address == nil ? 0 : Self.byAddress), expecting: Batch.anything,
            for: "ask on which nodes its memory is")
    }

    /// - Returns: nil for none, or on a kernel without NUMA.
    public func answer(_ result: BatchResult) -> MemoryPolicy? {
        let number = result.integer(UInt32.self, in: mode)
        guard result[index] == 0, number != 0 else { return nil }
        return MemoryPolicy(mode: number, mask: result.bytes(of: mask))
    }
}
