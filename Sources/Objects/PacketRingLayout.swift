internal import Images
internal import Linux

/// Where things lie in the memory of a packet socket's rings (Documentation/networking/packet_mmap.rst, linux/if_packet.h).
struct PacketRingLayout {
    /// Version 1 or 2: each packet has a frame of its own. Version 3: as many as there is room for lie in a block.
    let hasBlocks: Bool
    /// Of tp_status, which is as wide as a pointer in version 1.
    let statusSize: Int
    /// How many frames the ring for receiving has; or blocks.
    let count: Int
    /// Of all rings of the socket together, in bytes: they are mapped as one, that for receiving first.
    let memory: Int
    private let receiving, sending: Ring

    private struct Ring {
        var blockSize = 0, blocks = 0, frameSize = 0
        var framesOfBlock: Int { frameSize == 0 ? 0 : blockSize / frameSize }
        var size: Int { blockSize * blocks }

        /// - Returns: nil for sizes that no kernel could have given.
        init?(_ ring: PacketRing, exists: Bool) {
            if !exists { return }
            (blockSize, blocks, frameSize) = (Int(ring.blockSize), Int(ring.blockNr), Int(ring.frameSize))
            let most = 1 << 40
            guard blockSize > 0, blocks > 0, frameSize >= PacketRingLayout.frameHeader, frameSize <= blockSize,
                blockSize % Int(Pagemap.pageSize) == 0, blocks <= most / blockSize
            else { return nil }
        }

        func place(ofFrame number: Int) -> Int {
            number / framesOfBlock * blockSize + number % framesOfBlock * frameSize
        }
    }

    /// struct tpacket_hdr and struct tpacket2_hdr, padded.
    static let frameHeader = 32
    /// struct tpacket_block_desc.
    static let blockHeader = 48
    /// TP_STATUS_USER: the program has not taken it yet.
    static let user: UInt32 = 1

    /// - Returns: nil where the socket has no rings, or such as no kernel could have given.
    init?(_ socket: PacketSockEntry) {
        guard socket.hasRxRing || socket.hasTxRing,
            let receiving = Ring(socket.rxRing, exists: socket.hasRxRing),
            let sending = Ring(socket.txRing, exists: socket.hasTxRing), socket.version <= 2
        else { return nil }
        (self.receiving, self.sending) = (receiving, sending)
        hasBlocks = socket.version == 2
        statusSize = socket.version == 0 ? 8 : 4
        count = hasBlocks ? receiving.blocks : receiving.framesOfBlock * receiving.blocks
        memory = receiving.size + sending.size
    }

    /// Where a frame of the ring for receiving begins, or a block.
    func place(of number: Int) -> Int {
        hasBlocks ? number * receiving.blockSize : receiving.place(ofFrame: number)
    }

    /// How much room one has.
    var room: Int { hasBlocks ? receiving.blockSize : receiving.frameSize }

    /// Whether anything was ever put into the ring for sending: how far the kernel has got with it cannot be seen then.
    func hasSent(_ memory: borrowing MappedRegion) -> Bool {
        for number in 0..<sending.framesOfBlock * sending.blocks {
            let place = receiving.size + sending.place(ofFrame: number)
            if memory.bytes(in: place..<place + Self.frameHeader).contains(where: { $0 != 0 }) { return true }
        }
        return false
    }
}

/// The head of a frame of version 1 or 2.
struct PacketFrameHead {
    /// tp_status
    let status: UInt32
    /// Whether there was ever a packet in it: tp_len.
    let wasUsed: Bool
    /// tp_sec, and tp_usec or tp_nsec.
    let time: UInt64
    /// From the begin of the frame: tp_mac and tp_snaplen.
    let end: Int

    init(_ memory: borrowing MappedRegion, at place: Int, statusSize: Int) {
        let rest = place + statusSize
        status = memory.load(UInt32.self, at: place)
        wasUsed = memory.load(UInt32.self, at: rest) != 0
        let start = Int(min(memory.load(UInt16.self, at: rest + 8), memory.load(UInt16.self, at: rest + 10)))
        end = start + Int(memory.load(UInt32.self, at: rest + 4)) + 64
        time = UInt64(memory.load(UInt32.self, at: rest + 12)) << 32 | UInt64(memory.load(UInt32.self, at: rest + 16))
    }

    var isWaiting: Bool { status & PacketRingLayout.user != 0 }
}

/// The head of a block of version 3.
struct PacketBlockHead {
    /// Where its parts lie: block_status, num_pkts, offset_to_first_pkt, blk_len, seq_num, ts_last_pkt.
    static let (statusPlace, packetsPlace, firstPlace, lengthPlace, numberPlace, lastTimePlace) = (
        8, 12, 16, 20, 24, 40
    )

    let status, packets, first, length: UInt32
    /// Blocks are numbered as the kernel opens them, from 1.
    let number: UInt64

    init(_ memory: borrowing MappedRegion, at place: Int) {
        status = memory.load(UInt32.self, at: place + Self.statusPlace)
        packets = memory.load(UInt32.self, at: place + Self.packetsPlace)
        first = memory.load(UInt32.self, at: place + Self.firstPlace)
        length = memory.load(UInt32.self, at: place + Self.lengthPlace)
        number = memory.load(UInt64.self, at: place + Self.numberPlace)
    }

    var isWaiting: Bool { status & PacketRingLayout.user != 0 }

    /// The block that was opened last.
    static func newest(in memory: borrowing MappedRegion, _ layout: PacketRingLayout) -> (index: Int, head: Self) {
        var newest = (index: 0, head: Self(memory, at: layout.place(of: 0)))
        for index in 1..<max(layout.count, 1) {
            let head = Self(memory, at: layout.place(of: index))
            if head.number > newest.head.number { newest = (index, head) }
        }
        return newest
    }
}
