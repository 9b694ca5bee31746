internal import CTrampoline

/// System calls for a controlled thread to make in one go, with the memory that they work on.
///
/// A batch is a value: it is composed, printed and compared without any process. Where it will stand in memory is
/// decided when it is encoded; until then buffers and earlier results are named, not addressed.
public struct Batch: Sendable {
    /// A piece of the batch's own memory, an offset from its start.
    public struct Buffer: Hashable, Sendable {
        public var offset: Int
        public var count: Int
        /// A part of the buffer.
        public func part(_ start: Int, _ count: Int) -> Buffer { Buffer(offset: offset + start, count: count) }
    }

    /// One argument of a call.
    public enum Argument: Hashable, Sendable, ExpressibleByIntegerLiteral {
        /// A plain value.
        case value(UInt64)
        /// The address of a buffer of this batch.
        case address(Buffer)
        /// What an earlier call of this batch returned.
        case result(Int)
        /// The 32-bit number that an earlier call stored in a buffer: a descriptor of pipe2(2), for example.
        case int32(Buffer)
        /// The 64-bit number that an earlier call stored in a buffer.
        case word(Buffer)

        public init(integerLiteral value: Int64) { self = .value(UInt64(bitPattern: value)) }
        /// A signed number: -1, AT_FDCWD.
        public static func signed(_ value: Int32) -> Argument { .value(UInt64(bitPattern: Int64(value))) }
        public static func int(_ value: Int) -> Argument { .value(UInt64(bitPattern: Int64(value))) }
        public static func address(_ address: RemoteAddress) -> Argument { .value(address.raw) }
    }

    /// One system call.
    public struct Call: Hashable, Sendable {
        public var number: Int
        public var arguments: [Argument]
        /// A result outside ends the batch.
        public var expected: ClosedRange<Int64>
        /// What the call is for, for people: "map /usr/lib/libc.so.6".
        public var purpose: String
        /// What is lost, in words, where the kernel refuses the call; nil where it must not.
        public var loss: String?
        /// For a call that makes a task: where the new one's control block is.
        public var child: RemoteAddress?
        /// It is a call of 32-bit programs, with their number and their arguments; what these point to must lie below
        /// 4 GiB.
        public var isCompat = false
        /// It is no call, but the first use of a tile register.
        public fileprivate(set) var usesTiles = false
    }

    public private(set) var calls: [Call] = []
    /// The batch's memory as it is before the calls.
    public private(set) var memory: [UInt8] = []
    /// Places in the memory that hold the address of another place in it.
    private var references: [(place: Int, target: Buffer)] = []

    public init() {}

    public var isEmpty: Bool { calls.isEmpty }

    /// Results that mean success.
    public static let success: ClosedRange<Int64> = 0...Int64.max
    /// Any result: the caller looks at it afterwards.
    public static let anything: ClosedRange<Int64> = Int64.min...Int64.max

    /// Takes bytes along.
    public mutating func buffer(_ bytes: some Collection<UInt8>, alignment: Int = 8) -> Buffer {
        pad(to: alignment)
        let buffer = Buffer(offset: memory.count, count: bytes.count)
        memory.append(contentsOf: bytes)
        return buffer
    }

    /// Takes a path or another string along, with the zero byte that ends it.
    public mutating func string(_ bytes: some Collection<UInt8>) -> Buffer {
        var terminated = Array(bytes)
        terminated.append(0)
        return buffer(terminated, alignment: 1)
    }

    /// Reserves zeroed memory for a result.
    public mutating func space(_ count: Int, alignment: Int = 8) -> Buffer {
        pad(to: alignment)
        let buffer = Buffer(offset: memory.count, count: count)
        memory.append(contentsOf: repeatElement(0, count: count))
        return buffer
    }

    /// Stores the address of one buffer in another: an iovec's base, the pointer in a structure.
    public mutating func store(addressOf target: Buffer, in place: Buffer, at offset: Int = 0) {
        references.append((place: place.offset + offset, target: target))
    }

    /// Stores a number in a buffer.
    public mutating func store(_ value: Int, in place: Buffer, at offset: Int = 0) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: value)
        memory.replaceSubrange(place.offset + offset..<place.offset + offset + 8, with: bytes)
    }

    /// Adds a call and returns its index, by which later calls and the caller name its result.
    @discardableResult
    public mutating func call(
        _ number: Int, _ arguments: Argument..., expecting expected: ClosedRange<Int64> = Batch.success,
        for purpose: String = "", losing loss: String? = nil, child: RemoteAddress? = nil
    ) -> Int {
        precondition(arguments.count <= 6, "a system call has six arguments at the most")
        calls.append(
            Call(
                number: number, arguments: arguments, expected: loss == nil ? expected : Batch.anything,
                purpose: purpose, loss: loss, child: child))
        return calls.count - 1
    }

    /// Makes the call that was added last one of 32-bit programs.
    public mutating func makeLastCompat() {
        precondition(!calls.isEmpty, "there is no call")
        calls[calls.count - 1].isCompat = true
    }

    /// Has the thread use a tile register (AMX), so that the kernel makes room for all of them: before, a signal frame with them
    /// is refused. It must have the permission (ARCH_REQ_XCOMP_PERM). In a restore alone.
    ///
    /// - Parameter configuration: what LDTILECFG takes, with a tile 0.
    public mutating func useTiles(_ configuration: Buffer) {
        call(0, .address(configuration), for: "use its tile registers")
        calls[calls.count - 1].usesTiles = true
    }

    private mutating func pad(to alignment: Int) {
        let excess = memory.count % alignment
        if excess != 0 { memory.append(contentsOf: repeatElement(0, count: alignment - excess)) }
    }

    /// How many bytes the records and the memory take together.
    public var encodedSize: Int { recordsSize + memory.count }
    var recordsSize: Int { calls.count * Int(APUS_RECORD_SIZE) }

    /// The records and behind them the memory, as they have to stand at an address.
    ///
    /// - Parameter base: the address, a multiple of 64.
    public func encoded(at base: RemoteAddress) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(encodedSize)
        for call in calls { append(call, to: &bytes, base: base) }
        bytes.append(contentsOf: memory)
        for (place, target) in references {
            var value: [UInt8] = []
            value.append(littleEndian: address(of: target, base: base).raw)
            bytes.replaceSubrange(recordsSize + place..<recordsSize + place + 8, with: value)
        }
        return bytes
    }

    private func append(_ call: Call, to bytes: inout [UInt8], base: RemoteAddress) {
        // Which arguments are to be loaded: from a word, from half of one.
        var (words, halves): (UInt64, UInt64) = (0, 0)
        // All of a record at once: there are dozens in each batch, and a batch or more for each process.
        var record: InlineArray<12, UInt64> = .init(repeating: 0)
        record[0] = UInt64(call.number)
        for (index, argument) in call.arguments.enumerated() {
            switch argument {
            case .value(let value): record[1 + index] = value
            case .address(let buffer): record[1 + index] = address(of: buffer, base: base).raw
            case .result(let earlier):
                words |= 1 << UInt64(index)
                record[1 + index] = (base + earlier * Int(APUS_RECORD_SIZE) + Self.resultOffset).raw
            case .int32(let buffer):
                halves |= 1 << UInt64(index)
                record[1 + index] = address(of: buffer, base: base).raw
            case .word(let buffer):
                words |= 1 << UInt64(index)
                record[1 + index] = address(of: buffer, base: base).raw
            }
        }
        if let child = call.child { record[6] = child.raw }
        record[7] = UInt64(bitPattern: call.expected.lowerBound)
        record[8] = UInt64(bitPattern: call.expected.upperBound)
        // Until the call is made its result reads as -1: a cleanup that closes it does no harm.
        record[9] = UInt64.max
        record[10] = words | halves << 32
        record[11] = UInt64(
            (call.child == nil ? 0 : APUS_RECORD_CLONES) | (call.isCompat ? APUS_RECORD_COMPAT : 0)
                | (call.usesTiles ? APUS_RECORD_TILES : 0))
        // SAFETY: the bytes of twelve integers, which the processor (x86-64) has in the order of the record; copied at once.
        unsafe withUnsafeBytes(of: record) { unsafe bytes.append(contentsOf: $0) }
    }

    /// Where a buffer stands once the batch is encoded at `base`.
    public func address(of buffer: Buffer, base: RemoteAddress) -> RemoteAddress {
        base + recordsSize + buffer.offset
    }

    static let resultOffset = 72

    /// Where in an encoded batch the result of a call stands.
    public static func resultPlace(of index: Int) -> Int { index * Int(APUS_RECORD_SIZE) + resultOffset }
}

extension [UInt8] {
    /// Appends an integer as the kernel and the trampoline read it. (Inlinable: called thousands of times for every
    /// thread, from other modules, where it would not be specialised.)
    @inlinable
    public mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        // SAFETY: the bytes of an integer, copied at once.
        unsafe Swift.withUnsafeBytes(of: value.littleEndian) { unsafe append(contentsOf: $0) }
    }

    /// The integer at an offset.
    @inlinable
    public func littleEndian<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T {
        precondition(offset >= 0 && offset <= count - T.bitWidth / 8, "there are not so many bytes")
        // SAFETY: the bytes are there, and any bytes are an integer.
        return unsafe withUnsafeBytes { T(littleEndian: unsafe $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }
}
