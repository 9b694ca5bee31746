internal import Diagnostics
internal import Images
internal import Linux

/// How far the kernel has got with a packet socket's ring for receiving, and what waits in it.
///
/// A program goes round the ring in the order in which the kernel fills it, and knows by itself how far it has got: a ring of which
/// the kernel began anew at its start would look empty to it for ever. The kernel tells its own place to nobody, but it shows.
/// In version 3 blocks are numbered as they are opened. In the others the frame behind the last of those that wait is the next;
/// where none waits, or all do, the one behind the latest, for the times stay in the frames.
struct PacketRingState: Equatable, Sendable {
    struct Waiting: Equatable, Sendable {
        var number: Int
        var bytes: [UInt8]
    }

    /// The number of the frame, or the block, that comes next.
    var next = 0
    /// Of frames: the head of each, without its status.
    var heads: [UInt8] = []
    /// The oldest first.
    var waiting: [Waiting] = []
    /// How many of those that wait are not kept, as they are too many.
    var lost = 0

    /// What all of them come to, in bytes.
    private var kept = 0

    /// The most that is kept, in bytes.
    private static let mostBytes = 64 << 20
    /// TP_STATUS_BLK_TMO, in the status of a block that the kernel gives out before it is full.
    private static let timedOut: UInt32 = 1 << 5

    init(_ memory: borrowing MappedRegion, _ layout: PacketRingLayout) {
        if layout.hasBlocks { readBlocks(memory, layout) } else { readFrames(memory, layout) }
    }

    private mutating func readFrames(_ memory: borrowing MappedRegion, _ layout: PacketRingLayout) {
        // Not as a closure: that cannot borrow the memory.
        var frames: [PacketFrameHead] = []
        for number in 0..<layout.count {
            let place = layout.place(of: number)
            frames.append(PacketFrameHead(memory, at: place, statusSize: layout.statusSize))
            let status = [UInt8](repeating: 0, count: layout.statusSize)
            heads += status + memory.bytes(in: place + layout.statusSize..<place + PacketRingLayout.frameHeader)
        }
        next = Self.next(after: frames)
        for step in 0..<layout.count {
            let number = (next + step) % layout.count
            guard frames[number].isWaiting else { continue }
            let place = layout.place(of: number)
            keep(number, memory.bytes(in: place..<place + min(frames[number].end, layout.room)))
        }
    }

    /// The frame that the kernel fills next.
    static func next(after frames: [PacketFrameHead]) -> Int {
        let count = frames.count
        // The ends of the runs of those that wait; there are several only where the program has taken them out of order.
        var ends = (0..<count).filter { frames[$0].isWaiting && !frames[($0 + 1) % count].isWaiting }
        if ends.isEmpty {
            guard let latest = frames.filter(\.wasUsed).map(\.time).max() else { return 0 }
            let those = frames.indices.filter { frames[$0].wasUsed && frames[$0].time == latest }
            // Those of one moment are neighbours.
            ends = those.filter { !those.contains(($0 + 1) % count) }
        }
        let last = ends.max { frames[$0].time < frames[$1].time } ?? 0
        return (last + 1) % count
    }

    private mutating func readBlocks(_ memory: borrowing MappedRegion, _ layout: PacketRingLayout) {
        let newest = PacketBlockHead.newest(in: memory, layout)
        guard newest.head.number > 0 else { return }
        // Where the kernel has closed the newest, it could not open another: the program has to make room first.
        // One that has packets is closed here, as the kernel would after a while.
        let isOpen = !newest.head.isWaiting
        next = isOpen && newest.head.packets == 0 ? newest.index : (newest.index + 1) % layout.count
        for step in 0..<layout.count {
            let number = (next + step) % layout.count
            let place = layout.place(of: number)
            let head = PacketBlockHead(memory, at: place)
            let isClosedHere = isOpen && number == newest.index && newest.head.packets > 0
            guard head.isWaiting || isClosedHere else { continue }
            var bytes = memory.bytes(
                in: place..<place + max(PacketRingLayout.blockHeader, min(Int(head.length), layout.room)))
            if isClosedHere, !head.isWaiting { Self.close(&bytes, packets: newest.head.packets) }
            keep(number, bytes)
        }
    }

    /// Ends a block as the kernel does when its time is over.
    private static func close(_ block: inout [UInt8], packets: UInt32) {
        var packet = Int(block[...].integer(at: PacketBlockHead.firstPlace, of: UInt32.self))
        for _ in 1..<max(packets, 1) {
            guard packet + 12 <= block.count else { return }
            let step = Int(block[...].integer(at: packet, of: UInt32.self))
            if step == 0 { break }
            packet += step
        }
        block.put(timedOut | PacketRingLayout.user, at: PacketBlockHead.statusPlace)
        block.put(packets, at: PacketBlockHead.packetsPlace)
        guard packet + 12 <= block.count else { return }
        // struct tpacket3_hdr: tp_next_offset, tp_sec, tp_nsec.
        block.put(block[...].integer(at: packet + 4, of: UInt32.self), at: PacketBlockHead.lastTimePlace)
        block.put(block[...].integer(at: packet + 8, of: UInt32.self), at: PacketBlockHead.lastTimePlace + 4)
    }

    private mutating func keep(_ number: Int, _ bytes: [UInt8]) {
        if lost == 0, kept + bytes.count <= Self.mostBytes {
            kept += bytes.count
            waiting.append(Waiting(number: number, bytes: bytes))
            return
        }
        // The program comes there next when it has taken those before.
        if lost == 0 { next = number }
        lost += 1
    }

    // MARK: As JSON

    var json: JSON {
        [
            "next": .integer(Int64(next)), "heads": .string(Hexadecimal.text(heads)),
            "waiting": .array(
                waiting.map {
                    ["number": .integer(Int64($0.number)), "bytes": .string(Hexadecimal.text($0.bytes))]
                }),
        ]
    }

    /// - Returns: nil for what is not of such a ring.
    init?(_ json: JSON, _ layout: PacketRingLayout) {
        guard let next = json["next"]?.bits.flatMap({ Int(exactly: $0) }), next < layout.count || next == 0,
            let heads = json["heads"]?.string.flatMap(Hexadecimal.bytes),
            heads.count == (layout.hasBlocks ? 0 : layout.count * PacketRingLayout.frameHeader),
            case .array(let values)? = json["waiting"]
        else { return nil }
        (self.next, self.heads) = (next, heads)
        var numbers: Set<Int> = []
        for value in values {
            guard let number = value["number"]?.bits.flatMap({ Int(exactly: $0) }), number < layout.count,
                let bytes = value["bytes"]?.string.flatMap(Hexadecimal.bytes), bytes.count <= layout.room,
                bytes.count >= (layout.hasBlocks ? PacketRingLayout.blockHeader : PacketRingLayout.frameHeader),
                numbers.insert(number).inserted
            else { return nil }
            kept += bytes.count
            waiting.append(Waiting(number: number, bytes: bytes))
        }
    }
}

extension [UInt8] {
    fileprivate mutating func put(_ value: UInt32, at place: Int) {
        for byte in 0..<4 { self[place + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte)) }
    }
}
