public import Diagnostics
internal import Images
internal import Linux

/// Files of a process that are registered with a ring of io_uring (IORING_REGISTER_FILES), so that requests name them by numbers.
///
/// The kernel shows what each is called. That tells which description it is of a socket alone, as each has one in all its life: of a
/// file or a pipe there can be several of one name.
public struct RegisteredFiles: Sendable, Equatable {
    /// The process that registers them again, and its descriptor of the ring.
    public let process, descriptor: Int32
    /// How many places there are, and the descriptors of those that are taken.
    public let count: Int
    public let places: [Int: Int32]

    /// What fits into a batch beside other things.
    private static let most = 1 << 13

    /// - Parameter descriptors: of the process that has the ring.
    /// - Returns: nil where it cannot be told what they are.
    init?(_ seen: SeenDescriptor, _ state: IoUring.State, _ descriptors: [SeenDescriptor]) {
        guard state.fileCount <= Self.most, let files = state.files else { return nil }
        var places: [Int: Int32] = [:]
        for (place, name) in files {
            guard name.starts(with: "socket:[".utf8),
                let socket = descriptors.first(where: { $0.socket != nil && $0.link == name })
            else { return nil }
            places[place] = socket.number
        }
        (process, descriptor) = (seen.pid, seen.number)
        (count, self.places) = (state.fileCount, places)
    }

    /// For the supplement.
    var member: JSON.Member {
        let told = places.sorted { $0.key < $1.key }.map { JSON.array([.number($0.key), .number($0.value)]) }
        return .init(
            "files",
            .object([
                .init("process", .number(process)), .init("descriptor", .number(descriptor)),
                .init("count", .number(count)), .init("places", .array(told)),
            ]))
    }

    /// From what the supplement says of a ring.
    ///
    /// - Returns: nil where it says nothing of files; of those that no kernel can have had, none.
    public init?(_ ring: JSON) {
        guard let told = ring["files"], let process = told["process"]?.bits.flatMap({ Int32(exactly: $0) }),
            let descriptor = told["descriptor"]?.bits.flatMap({ Int32(exactly: $0) }),
            let count = told["count"]?.bits.flatMap({ Int(exactly: $0) }), (1...Self.most).contains(count)
        else { return nil }
        var places: [Int: Int32] = [:]
        for element in told["places"]?.elements ?? [] {
            guard let pair = element.elements, pair.count == 2, let place = pair[0].bits.flatMap({ Int(exactly: $0) }),
                let file = pair[1].bits.flatMap({ Int32(exactly: $0) }), (0..<count).contains(place), file >= 0
            else { return nil }
            places[place] = file
        }
        (self.process, self.descriptor, self.count, self.places) = (process, descriptor, count, places)
    }
}
