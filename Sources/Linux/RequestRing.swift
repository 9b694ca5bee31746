internal import CLinux
public import SystemPackage

/// A queue of requests and one of their results, shared with the kernel: io_uring(7).
///
/// Where things stand in the shared memory io_uring_setup(2) tells its maker alone; a kernel tells it alike for all rings of
/// one size.
public struct RequestRing: ~Copyable {
    /// How many requests and how many results there is room for: powers of two.
    public struct Size: Sendable, Equatable {
        public let requests, results: UInt32

        /// - Returns: nil for what no kernel makes (IORING_MAX_ENTRIES of io_uring/io_uring.c).
        public init?(requests: UInt32, results: UInt32) {
            let (most, isPower) = (32_768 as UInt32, { (count: UInt32) in count.nonzeroBitCount == 1 })
            guard isPower(requests), isPower(results), requests <= most, results <= 2 * most, results >= requests
            else { return nil }
            self.requests = requests
            self.results = results
        }
    }

    /// Where things stand: `struct io_sqring_offsets` and `struct io_cqring_offsets` (linux/io_uring.h), in bytes.
    public struct Layout: Sendable, Equatable {
        public let sqHead, sqTail, sqMask, sqEntries, sqFlags, sqDropped, array: UInt32
        public let cqHead, cqTail, cqMask, cqEntries, cqOverflow, results, cqFlags: UInt32

        /// All of them, in this order.
        public var numbers: [UInt32] {
            [
                sqHead, sqTail, sqMask, sqEntries, sqFlags, sqDropped, array, cqHead, cqTail, cqMask, cqEntries,
                cqOverflow, results, cqFlags,
            ]
        }

        /// From `struct io_uring_params`, by words.
        fileprivate init(_ words: [UInt32]) {
            (sqHead, sqTail, sqMask, sqEntries) = (words[10], words[11], words[12], words[13])
            (sqFlags, sqDropped, array) = (words[14], words[15], words[16])
            (cqHead, cqTail, cqMask, cqEntries) = (words[20], words[21], words[22], words[23])
            (cqOverflow, results, cqFlags) = (words[24], words[25], words[26])
        }

        /// In bytes: with the array by which requests are named, and without it (IORING_SETUP_NO_SQARRAY).
        fileprivate func length(_ size: Size) -> (whole: Int, withoutArray: Int) {
            let withoutArray = Int(results) + Int(size.results) * RequestRing.resultSize
            return (max(withoutArray, Int(array) + 4 * Int(size.requests)), withoutArray)
        }
    }

    /// `struct io_uring_sqe` and `struct io_uring_cqe`, in bytes.
    public static let (requestSize, resultSize) = (64, 16)
    /// What to pass to mmap(2) for the requests (IORING_OFF_SQES).
    static let requestsOffset: UInt64 = 0x1000_0000

    public let size: Size
    public let layout: Layout
    /// Whether the array by which requests are named was there to be mapped.
    public let hasArray: Bool
    public let descriptor: OwnedDescriptor
    private let rings: MappedRegion
    private let requests: MappedRegion

    /// Makes one without any special flags, close-on-exec.
    ///
    /// - Throws: EPERM where io_uring is switched off (`kernel.io_uring_disabled`), ENOSYS, ENOMEM.
    public init(making size: Size) throws(Errno) {
        let (number, words) = try Self.setUp(size)
        let layout = Layout(words)
        try self.init(owning: OwnedDescriptor(owning: number), size, layout)
    }

    /// Looks into one that is there, of whoever made it.
    ///
    /// - Parameter descriptor: a copy of one.
    public init(lookingInto descriptor: consuming OwnedDescriptor, _ size: Size, _ layout: Layout) throws(Errno) {
        try self.init(owning: descriptor, size, layout)
    }

    private init(owning descriptor: consuming OwnedDescriptor, _ size: Size, _ layout: Layout) throws(Errno) {
        let length = layout.length(size)
        let hasArray = Self.isThere(length.whole, at: 0, of: descriptor.raw)
        let rings = try MappedRegion(of: descriptor.raw, count: hasArray ? length.whole : length.withoutArray)
        let requests = try MappedRegion(
            of: descriptor.raw, offset: Self.requestsOffset, count: Int(size.requests) * Self.requestSize)
        self.hasArray = hasArray
        self.rings = rings
        self.requests = requests
        self.descriptor = descriptor
        self.size = size
        self.layout = layout
    }

    /// Whether there is more memory behind a ring than its size asks for: requests or results are twice as long
    /// (IORING_SETUP_SQE128, IORING_SETUP_CQE32). It cannot be told of a ring that fits into a page either way.
    public var hasLongEntries: Bool {
        let page = 4096
        func isThere(_ count: Int, at offset: UInt64, insteadOf usual: Int) -> Bool {
            if (count + page - 1) / page == (usual + page - 1) / page { return false }
            return Self.isThere(count, at: offset, of: descriptor.raw)
        }
        let whole = layout.length(size).whole
        let longer = whole + Int(size.results) * Self.resultSize
        return isThere(2 * requests.count, at: Self.requestsOffset, insteadOf: requests.count)
            || isThere(longer, at: 0, insteadOf: whole)
    }

    /// Whether a ring has so much memory. Some kernels let more be mapped than there is: the end cannot be read then.
    private static func isThere(_ count: Int, at offset: UInt64, of descriptor: Int32) -> Bool {
        guard let region = try? MappedRegion(of: descriptor, offset: offset, count: count, writable: false) else {
            return false
        }
        let (page, populateRead): (Int, UInt) = (4096, 22)  // MADV_POPULATE_READ, since Linux 5.14
        let last = UInt(region.address(of: (count - 1) / page * page))
        do throws(Errno) {
            try call(Int(SYS_madvise), last, UInt(page), populateRead)
            return true
        } catch {
            // A kernel that does not know the advice has looked at the size itself.
            return error == .invalidArgument
        }
    }

    // MARK: Content

    /// What stands in a place of the shared memory.
    public func number(at offset: UInt32) -> UInt32 { rings.load(UInt32.self, at: Int(offset)) }

    /// Stores a number in the shared memory.
    public func store(_ number: UInt32, at offset: UInt32) { rings.store(number, at: Int(offset)) }

    /// The array by which requests are named; of a ring without one that in which each stands in its own place.
    public var array: [UInt32] {
        if !hasArray { return Array(0..<size.requests) }
        return (0..<Int(size.requests)).map { rings.load(UInt32.self, at: Int(layout.array) + 4 * $0) }
    }

    /// The bytes of all requests, and of all results.
    public var content: (requests: [UInt8], results: [UInt8]) {
        let start = Int(layout.results)
        return (
            requests.bytes(in: 0..<requests.count),
            rings.bytes(in: start..<start + Int(size.results) * Self.resultSize)
        )
    }

    /// Puts requests and results into their places.
    ///
    /// - Precondition: as many as there is room for.
    public func fill(array: [UInt32], requests: [UInt8], results: [UInt8]) {
        precondition(array.count == Int(size.requests) && requests.count == self.requests.count)
        precondition(results.count == Int(size.results) * Self.resultSize)
        for (index, place) in array.enumerated() { rings.store(place, at: Int(layout.array) + 4 * index) }
        self.requests.store(requests, at: 0)
        rings.store(results, at: Int(layout.results))
    }

    // MARK: Requests

    /// Has the kernel carry out requests that do nothing (IORING_OP_NOP), until it has counted so many of them: it keeps counts
    /// of its own, which nothing else moves. Some 100 ns each.
    ///
    /// - Parameter isCancelled: asked now and then.
    /// - Throws: ECANCELED.
    public func advance(to count: UInt32, unless isCancelled: () -> Bool) throws(Errno) {
        for index in 0..<Int(size.requests) { rings.store(UInt32(index), at: Int(layout.array) + 4 * index) }
        var done: UInt32 = 0
        while done < count {
            let now = min(count - done, size.requests)
            store(done &+ now, at: layout.sqTail)
            guard try enter(submitting: now) == now else { throw .ioError }
            done += now
            guard number(at: layout.cqTail) == done else { throw .ioError }
            store(done, at: layout.cqHead)
            if isCancelled() { throw .canceled }
        }
    }

    private func enter(submitting count: UInt32) throws(Errno) -> UInt32 {
        UInt32(try call(Int(SYS_io_uring_enter), UInt(signed: descriptor.raw), UInt(count), 0, 0, 0, 0))
    }

    // MARK: Questions

    /// What the kernel says to calls that change nothing and that it answers one way for a plain ring and another way for one
    /// that is not.
    public var answers: Answers { Answers(descriptor.raw) }

    /// How a ring differs from a plain one, as far as it can be asked.
    public struct Answers: Sendable, Equatable {
        /// The error of io_uring_enter(2) that submits nothing: EBADFD before the ring is enabled.
        public let entering: Errno?
        /// Of io_uring_register(2), with an address that leads nowhere: EEXIST for a ring of one thread
        /// (IORING_SETUP_SINGLE_ISSUER), EACCES for one that is restricted.
        public let probing: Errno?
        /// EBUSY for one that has an eventfd.
        public let eventfd: Errno?
        /// EINVAL for one that is polled (IORING_SETUP_IOPOLL).
        public let napi: Errno?

        /// The calls, in the order of the answers, without their first argument: the descriptor of the ring.
        public static let questions: [(number: Int, arguments: [UInt])] = {
            let (eventfd, probe, napi): (UInt, UInt, UInt) = (4, 8, 27)  // IORING_REGISTER_*
            let nowhere: UInt = 1
            return [(Int(SYS_io_uring_enter), [0, 0, 0])]
                + [probe, eventfd, napi].map { (Int(SYS_io_uring_register), [$0, nowhere, 1]) }
        }()

        /// - Parameter errors: of the calls, in the order of the questions.
        public init(_ errors: [Errno?]) {
            precondition(errors.count == Self.questions.count, "each question has its answer")
            (entering, probing, eventfd, napi) = (errors[0], errors[1], errors[2], errors[3])
        }

        init(_ ring: Int32) {
            self.init(
                Self.questions.map { question in
                    let rest = question.arguments
                    do throws(Errno) { try call(question.number, UInt(signed: ring), rest[0], rest[1], rest[2]) } catch
                    {
                        return error
                    }
                    return nil
                })
        }
    }

    /// Whether a ring answers one thread alone (IORING_SETUP_SINGLE_ISSUER), which is not this one.
    public static func isOfOneThread(_ descriptor: Int32) -> Bool { Answers(descriptor).probing == .fileExists }

    /// IORING_REGISTER_PBUF_STATUS.
    public static let registerStatus: UInt = 26

    /// The number of a ring of buffers that is registered (IORING_REGISTER_PBUF_RING); nil where there is none, or the
    /// kernel does not say (before 6.8).
    public var bufferGroup: UInt16? {
        let unknown = bufferStatus(0)
        // Groups that are not there, or a kernel to which the question is none.
        if unknown == .invalidArgument && Self.knowsNoBufferStatus { return nil }
        return (0...UInt16.max).first { bufferStatus($0) != .noSuchFileOrDirectory }
    }

    /// The error with which the kernel answers about a group of buffers (IORING_REGISTER_PBUF_STATUS).
    private func bufferStatus(_ group: UInt16) -> Errno? {
        // struct io_uring_buf_status: the group, the head, reserved.
        var status = (UInt64(group), 0 as UInt64, 0 as UInt64, 0 as UInt64, 0 as UInt64)
        do throws(Errno) {
            _ = try withAddress(of: &status) {
                outcome(of: Int(SYS_io_uring_register), UInt(signed: descriptor.raw), Self.registerStatus, $0, 1)
            }
            return nil
        } catch {
            return error
        }
    }

    private static let knowsNoBufferStatus: Bool = {
        guard let size = Size(requests: 1, results: 2), let ring = try? RequestRing(making: size) else { return true }
        return ring.bufferStatus(0) == .invalidArgument
    }()

    // MARK: Making

    /// io_uring_setup(2), with a certain number of results (IORING_SETUP_CQSIZE).
    ///
    /// - Returns: the descriptor, and `struct io_uring_params` by words.
    private static func setUp(_ size: Size) throws(Errno) -> (Int32, [UInt32]) {
        var words = [UInt32](repeating: 0, count: 30)
        let sized: UInt32 = 1 << 3
        (words[1], words[2]) = (size.results, sized)
        let result: Result<Int, Errno> = unsafe words.withUnsafeMutableBytes { buffer in
            // The kernel reads and writes as many bytes as the structure has.
            outcome(of: Int(SYS_io_uring_setup), UInt(size.requests), UInt(bitPattern: buffer.baseAddress))
        }
        return (Int32(try result.get()), words)
    }
}
