internal import CTrampoline

/// The control block of a thread that is being rebuilt (struct apus_control), as it has to stand in the mailbox.
public struct ControlBlock: Sendable {
    public static let size = 192
    /// Where in a block the number of calls that a batch did not come to is found.
    public static let countOffset = Int(APUS_CONTROL_COUNT)

    public var records = RemoteAddress(0)
    public var count = 0
    public var cleanup = RemoteAddress(0)
    public var cleanupCount = 0
    /// The word that decides what the cut of the lifeline means.
    public var commit = RemoteAddress(0)
    /// The 32 bits that hold the number of the channel's descriptor.
    public var channel = RemoteAddress(0)
    /// The signal frame by which the thread leaves.
    public var frame = RemoteAddress(0)
    /// What the last thread of the process unmaps.
    public var own: Range<RemoteAddress> = RemoteAddress(0)..<RemoteAddress(0)
    /// The 32 bits that count the threads of the process.
    public var users = RemoteAddress(0)
    /// The code by which the thread leaves.
    public var leave = RemoteAddress(0)
    /// What the thread reports itself as.
    public var token: UInt64 = 0

    public init() {}

    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        for value in [
            records.raw, UInt64(count), cleanup.raw, UInt64(cleanupCount), commit.raw, channel.raw, frame.raw,
            own.lowerBound.raw, own.upperBound.raw - own.lowerBound.raw, users.raw, leave.raw, token,
        ] { bytes.append(littleEndian: value) }
        return bytes
    }
}
