internal import CLinux
internal import Glibc
internal import SystemPackage

/// Where the kernel sees the pages of the machine: it has all of them mapped one behind the other, and so are their
/// descriptions (`struct page`; Documentation/arch/x86/x86_64/mm.rst). Where either begins is chosen at random when it starts,
/// and said to nobody.
///
/// So it is found out with a page of Apus' own, whose number pagemap(5) tells: lent to a socket it has its description stand
/// in a message, and what it holds is looked for from the address of the message on, whole gigabytes before it.
struct PageAddresses {
    private let descriptions, memory, size: UInt64
    private static let pageSize: UInt64 = 4096

    /// - Throws: ENXIO where the page was not found.
    init(_ kernel: KernelMemory) throws(Errno) {
        guard let size = kernel.types.size(of: "page") else { throw .notSupported }
        self.size = UInt64(size)
        let own = try LentPage()
        let sent = try KernelMessages(kernel).all(ofQueueOf: try kernel.socket(own.receiver.raw), atMost: 1)
        guard let message = sent.first, let piece = message.pages.first else { throw .noSuchAddressOrDevice }
        descriptions = piece.page &- own.number * self.size
        let gigabyte: UInt64 = 1 << 30
        var start = message.head & ~(gigabyte - 1)
        // As much memory as a machine can have.
        for _ in 0..<(64 << 10) {
            let there = try? kernel.bytes(own.content.count, at: start &+ own.number * Self.pageSize)
            if there == own.content {
                memory = start
                return
            }
            start &-= gigabyte
        }
        throw .noSuchAddressOrDevice
    }

    func address(ofPage page: UInt64) -> UInt64 { memory &+ (page &- descriptions) / size * Self.pageSize }
}

/// A page of this process that waits in a socket without having been copied.
private final class LentPage {
    let receiver: OwnedDescriptor
    private let sender: OwnedDescriptor
    private let region: MappedRegion
    let content: [UInt8]
    /// The number of its page frame.
    let number: UInt64

    init() throws(Errno) {
        let file = try Files.memory(named: "apus-lent-page")
        try Files.truncate(file.raw, to: 4096)
        region = try MappedRegion(of: file.raw, count: 4096)
        content = (0..<64).map { _ in .random(in: 0...255) }
        region.store(content, at: 0)
        let ends = try Files.socketPair(type: Sockets.stream)
        receiver = try Files.duplicate(ends.first.raw)
        sender = try Files.duplicate(ends.second.raw)
        let pipe = try Files.pipe()
        // The page goes by reference: from the file into the pipe, and on into the socket (splice(2)).
        for (from, to) in [(file.raw, pipe.second.raw), (pipe.first.raw, sender.raw)] {
            try call(Int(SYS_splice), UInt(signed: from), 0, UInt(signed: to), 0, UInt(content.count), 0)
        }
        let map = try Files.open("/proc/self/pagemap", .readOnly)
        let entry = try Files.read(map.raw, count: 8, at: UInt64(region.address(of: 0)) / 4096 * 8)
        let (present, mask): (UInt64, UInt64) = (1 << 63, (1 << 55) - 1)
        let value = entry[...].integer(at: 0, of: UInt64.self)
        guard value & present != 0, value & mask != 0 else { throw .notPermitted }
        number = value & mask
    }
}
