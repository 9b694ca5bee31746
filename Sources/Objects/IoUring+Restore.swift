public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A ring of io_uring in which nothing is under way, as the supplement tells it.
struct RequestRingImage: Sendable, Equatable {
    let size: RequestRing.Size
    /// Where things stand in its memory (`RequestRing.Layout`): the program has been told at its setup.
    let layout: [UInt32]
    /// The requests that the kernel has taken and has answered, modulo 2^32.
    let taken: UInt32
    /// How far the program has come: behind the last request that it has handed over, and behind the last result that it has
    /// taken.
    let tail, head: UInt32
    let dropped, overflow, flags: UInt32
    let array: [UInt32]
    let requests, results: [UInt8]
    /// Of the requests; what only the kernel sets.
    private let kernelFlags: UInt32
    let buffers: RegisteredBuffers

    init(_ ring: borrowing RequestRing, taken: UInt32, buffers: RegisteredBuffers) {
        self.buffers = buffers
        size = ring.size
        layout = ring.layout.numbers
        self.taken = taken
        tail = ring.number(at: ring.layout.sqTail)
        head = ring.number(at: ring.layout.cqHead)
        dropped = ring.number(at: ring.layout.sqDropped)
        overflow = ring.number(at: ring.layout.cqOverflow)
        flags = ring.number(at: ring.layout.cqFlags)
        kernelFlags = ring.number(at: ring.layout.sqFlags)
        let array = ring.array
        // A ring without such an array (IORING_SETUP_NO_SQARRAY) shows zeros there. It goes on as one with an array that names each
        // request by its place, which is what such a program expects; one that has an array has put something into it.
        self.array = array.allSatisfy { $0 == 0 } ? Array(0..<ring.size.requests) : array
        (requests, results) = ring.content
    }

    /// Whether its counts are such as a kernel can have.
    var isSound: Bool {
        tail &- taken <= size.requests && taken &- head <= size.results && kernelFlags == 0
            && array.count == Int(size.requests) && requests.count == Int(size.requests) * RequestRing.requestSize
            && results.count == Int(size.results) * RequestRing.resultSize
    }

    // MARK: Supplement

    /// - Parameter files: that are registered.
    func json(with files: RegisteredFiles?) -> JSON {
        func numbers(_ values: [UInt32]) -> JSON { .array(values.map { .number($0) }) }
        return .object(
            [
                .init("size", numbers([size.requests, size.results])), .init("layout", numbers(layout)),
                .init("taken", .number(taken)), .init("tail", .number(tail)), .init("head", .number(head)),
                .init("dropped", .number(dropped)), .init("overflow", .number(overflow)),
                .init("flags", .number(flags)),
                .init("array", numbers(array)), .init("requests", .string(Hexadecimal.text(requests))),
                .init("results", .string(Hexadecimal.text(results))),
            ] + buffers.members + (files.map { [$0.member] } ?? []))
    }

    /// - Returns: nil for what no kernel can have had.
    init?(_ told: JSON) {
        func number(_ name: String) -> UInt32? { told[name]?.bits.flatMap { UInt32(exactly: $0) } }
        func numbers(_ name: String) -> [UInt32]? {
            guard let elements = told[name]?.elements else { return nil }
            let values = elements.compactMap { $0.bits.flatMap { UInt32(exactly: $0) } }
            return values.count == elements.count ? values : nil
        }
        guard let counts = numbers("size"), counts.count == 2,
            let size = RequestRing.Size(requests: counts[0], results: counts[1]), let layout = numbers("layout"),
            let taken = number("taken"), let tail = number("tail"), let head = number("head"),
            let dropped = number("dropped"), let overflow = number("overflow"), let flags = number("flags"),
            let array = numbers("array"), let requests = told["requests"]?.string.flatMap(Hexadecimal.bytes),
            let results = told["results"]?.string.flatMap(Hexadecimal.bytes)
        else { return nil }
        self.size = size
        self.layout = layout
        (self.taken, self.tail, self.head) = (taken, tail, head)
        (self.dropped, self.overflow, self.flags) = (dropped, overflow, flags)
        self.array = array
        (self.requests, self.results) = (requests, results)
        kernelFlags = 0
        guard let buffers = RegisteredBuffers(told) else { return nil }
        self.buffers = buffers
        if !isSound { return nil }
    }
}

/// A ring of io_uring, made by Apus and brought to where it was.
public struct RequestRingFile: Resource {
    private let entry: RegFileEntry
    private let image: RequestRingImage

    /// - Parameter told: what the supplement says of it.
    /// - Throws: `object-unsupported` for what no kernel could have had.
    public init(_ entry: RegFileEntry, _ told: JSON) throws(Problem) {
        guard let image = RequestRingImage(told) else {
            throw Problem(
                .objectUnsupported, "what the supplement says of io_uring \(entry.id) makes no sense",
                remedy: "Copy the images again, all of them")
        }
        self.entry = entry
        self.image = image
    }

    public var description: String {
        "io_uring of \(image.size.requests) requests and \(image.size.results) results, \(image.taken) made"
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        do throws(Errno) {
            let plain = try RequestRing(making: image.size)
            if plain.layout.numbers == image.layout { return [] }
        } catch {
            return [
                Problem(
                    .objectUnsupported, "this host gives no io_uring", cause: .init(error, attempted: "io_uring_setup"),
                    remedy: "Allow it (sysctl kernel.io_uring_disabled=0), or restore on a host that has it")
            ]
        }
        return [
            Problem(
                .objectUnsupported,
                "the memory of an io_uring is laid out otherwise by this kernel, and the program has been told of the other",
                remedy: "Restore it where `uname -r` is as at the dump")
        ]
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let ring = try RequestRing(making: image.size)
            try ring.advance(to: image.taken) { Cancellation.requested }
            ring.fill(array: image.array, requests: image.requests, results: image.results)
            for (number, place) in [
                (image.tail, ring.layout.sqTail), (image.head, ring.layout.cqHead),
                (image.dropped, ring.layout.sqDropped), (image.overflow, ring.layout.cqOverflow),
                (image.flags, ring.layout.cqFlags),
            ] { ring.store(number, at: place) }
            let descriptor = try Files.duplicate(ring.descriptor.raw)
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "an io_uring cannot be brought to where it was",
                cause: .init(error, attempted: "io_uring_setup, io_uring_enter"),
                remedy: error == .canceled
                    ? "It was interrupted: nothing was restored" : "See that there is enough memory")
        }
    }
}
