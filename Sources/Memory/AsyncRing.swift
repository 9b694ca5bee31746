internal import CLinux
public import Diagnostics
public import Images
public import Linux
internal import SystemPackage
public import Tracing

/// A context of asynchronous I/O (io_setup(2)): a mapping of the kernel's whose address is its name.
///
/// The head of the ring tells where the oldest event is that nobody has taken and where the next one goes; libraries
/// read it without a system call, so a restored ring has both where they were. The kernel has a place of its own where the next
/// event goes, which only finished requests move: see `Planner.composeRing`.
///
/// A child does not inherit the context, but the mapping it does (fork(2) of a shared mapping): such a ring is dead.
/// What is under way the kernel shows to nobody.
public struct AsyncRing: Sendable, Equatable {
    /// `struct aio_ring` and `struct io_event` (fs/aio.c, linux/aio_abi.h).
    public static let headSize: UInt64 = 32
    public static let eventSize: UInt64 = 32
    private static let magic: UInt32 = 0xa10a_10a1

    /// The events that there is room for.
    public let slots: UInt32
    /// The place of the oldest event that was not taken, and behind the newest.
    public let head, tail: UInt32

    /// From the first bytes of a ring.
    ///
    /// - Parameters:
    ///   - bytes: of its head.
    ///   - size: of the mapping.
    /// - Returns: nil where the kernel would not have made it so.
    public init?(_ bytes: [UInt8], size: UInt64) {
        guard bytes.count >= Int(Self.headSize), size % Pagemap.pageSize == 0, size >= Pagemap.pageSize,
            bytes.littleEndian(UInt32.self, at: 16) == Self.magic
        else { return nil }
        slots = bytes.littleEndian(UInt32.self, at: 4)
        head = bytes.littleEndian(UInt32.self, at: 8)
        tail = bytes.littleEndian(UInt32.self, at: 12)
        guard UInt64(slots) == (size - Self.headSize) / Self.eventSize, head < slots, tail < slots else { return nil }
    }

    /// Events that nobody has taken.
    public var unread: UInt32 { head <= tail ? tail - head : slots - head + tail }

    // MARK: Size

    /// How large a ring the kernel makes for so many requests (`ioctx_alloc` and `aio_setup_ring` of fs/aio.c): room for
    /// twice as many, and for each processor that there could ever be.
    static func pages(for requests: UInt64, processors: Int) -> UInt64 {
        let events = max(requests, UInt64(processors) * 4) * 2 + 2
        return (headSize + events * eventSize + Pagemap.pageSize - 1) / Pagemap.pageSize
    }

    /// The fewest requests for which the kernel makes a ring of that size: they count against `fs.aio-max-nr`.
    ///
    /// - Returns: nil where the kernel of a host with so many processors makes none so small.
    public static func requests(forSize size: UInt64, processors: Int) -> UInt64? {
        let (pages, smallest) = (size / Pagemap.pageSize, Self.pages(for: 1, processors: processors))
        guard pages >= smallest else { return nil }
        if pages == smallest { return 1 }
        let perPage = Pagemap.pageSize / eventSize
        return (pages - 1) * perPage / 2 - 1
    }

    /// The message for a ring. What it was asked for the kernel does not tell: the most that gives one of its size.
    public static func entry(_ vma: VmaEntry) -> AioRingEntry {
        var entry = AioRingEntry()
        entry.id = vma.start
        entry.nrReq = UInt32(clamping: (vma.end - vma.start) / eventSize / 2 - 2)
        entry.ringLen = UInt32(clamping: vma.end - vma.start)
        return entry
    }

    // MARK: Capture

    /// Reads the head of a ring.
    ///
    /// - Throws: where it is none that could be made again, or cannot be read.
    public static func read(
        _ area: MappedArea, _ memory: ProcessMemory, _ object: Problem.Object
    ) throws(Problem) -> AsyncRing {
        var object = object
        object.address = area.range.lowerBound
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try memory.read(RemoteAddress(area.range.lowerBound), count: Int(headSize))
        } catch {
            throw Problem(
                .memoryUnreachable, "its ring of asynchronous I/O cannot be read", object: object,
                cause: .init(error, attempted: "read of /proc/\(memory.pid)/mem"), remedy: "Run Apus as root")
        }
        if let ring = AsyncRing(bytes, size: area.size) { return ring }
        throw Problem(
            .unsupportedMemory,
            "a ring of asynchronous I/O (io_setup) of which a part is unmapped or protected otherwise, or whose head the"
                + " program has overwritten, cannot be carried",
            object: object, remedy: "Have the program destroy it (io_destroy) before the dump")
    }

    /// Which rings are alive: only the process can find out. To ask for no event takes none.
    public struct Questions: Sendable {
        private let calls: [(address: UInt64, index: Int)]

        /// - Parameter addresses: of all mappings of rings.
        public init(_ addresses: [UInt64], _ batch: inout Batch) {
            if addresses.isEmpty {
                calls = []
                return
            }
            let noTime = batch.space(16)
            var calls: [(address: UInt64, index: Int)] = []
            for address in addresses {
                let index = batch.call(
                    Int(SYS_io_getevents), .value(address), 0, 0, 0, .address(noTime), expecting: Batch.anything,
                    for: "ask whether it has asynchronous I/O")
                calls.append((address, index))
            }
            self.calls = calls
        }

        /// - Returns: the addresses of those that are dead.
        public func dead(_ result: BatchResult) -> Set<UInt64> {
            Set(calls.filter { result[$0.index] < 0 }.map(\.address))
        }
    }
}
