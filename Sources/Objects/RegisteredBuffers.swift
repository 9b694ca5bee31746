public import Diagnostics
internal import Images

/// Memory of a process that is registered with a ring of io_uring (IORING_REGISTER_BUFFERS), so that requests name it by numbers.
public struct RegisteredBuffers: Sendable, Equatable {
    /// The process whose memory it is, and its descriptor of the ring.
    public let process, descriptor: Int32
    /// In their order; empty for a number that is free.
    public let ranges: [Range<UInt64>]

    /// The most that a kernel takes (IORING_MAX_REG_BUFFERS of io_uring/rsrc.c).
    private static let most = 1 << 14

    init(process: Int32, descriptor: Int32, _ ranges: [Range<UInt64>]) {
        (self.process, self.descriptor, self.ranges) = (process, descriptor, ranges)
    }

    /// For the supplement; nothing where nothing is registered.
    var members: [JSON.Member] {
        if ranges.isEmpty { return [] }
        let told = ranges.map { range in
            JSON.array([.number(range.lowerBound), .number(range.upperBound - range.lowerBound)])
        }
        return [
            .init(
                "buffers",
                .object([
                    .init("process", .number(process)), .init("descriptor", .number(descriptor)),
                    .init("ranges", .array(told)),
                ]))
        ]
    }

    /// From what the supplement says of a ring.
    ///
    /// - Returns: nil for what no kernel can have had.
    public init?(_ ring: JSON) {
        guard let told = ring["buffers"] else {
            self.init(process: 0, descriptor: -1, [])
            return
        }
        guard let process = told["process"]?.bits.flatMap({ Int32(exactly: $0) }),
            let descriptor = told["descriptor"]?.bits.flatMap({ Int32(exactly: $0) }),
            let elements = told["ranges"]?.elements, elements.count <= Self.most
        else { return nil }
        var ranges: [Range<UInt64>] = []
        for element in elements {
            guard let pair = element.elements, pair.count == 2, let start = pair[0].bits, let length = pair[1].bits,
                case let (end, overflow) = start.addingReportingOverflow(length), !overflow
            else { return nil }
            ranges.append(start..<end)
        }
        self.init(process: process, descriptor: descriptor, ranges)
    }
}
