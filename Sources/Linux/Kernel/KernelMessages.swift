public import SystemPackage

/// What waits in the queue of a socket, read from the kernel's memory (struct sk_buff of linux/skbuff.h).
///
/// The queues of those who look are to stand still. Those of others may change meanwhile: then it ends with an error,
/// or with what nobody has sent, so that whoever uses it looks twice.
public struct KernelMessages {
    let kernel: KernelMemory

    public init(_ kernel: KernelMemory) { self.kernel = kernel }

    /// A message, or a piece of a stream.
    public struct Message {
        /// Where it is, and where its bytes begin.
        let address, head, data: UInt64
        /// The socket that it counts for, or, in the queue of one that listens, the connection that it stands for (struct
        /// sock).
        public let owner: UInt64
        /// In bytes.
        public let count: Int
        /// How many of them are at `data`; the others are in pages.
        let linear: Int
        let pages: [Piece]
    }

    /// A part of a page.
    struct Piece {
        /// struct page.
        let page: UInt64
        let offset, count: Int
    }

    private static let largestMessage = 64 << 20

    /// - Parameter socket: struct sock.
    /// - Throws: EBADMSG where the queue makes no sense; EOPNOTSUPP where it holds what cannot be read.
    public func all(ofQueueOf socket: UInt64, atMost limit: Int = 65536) throws(Errno) -> [Message] {
        try all(of: "sk_receive_queue", of: socket, atMost: limit)
    }

    /// - Parameter name: the member of struct sock.
    func all(of name: String, of socket: UInt64, atMost limit: Int = 65536) throws(Errno) -> [Message] {
        let queue = socket + (try kernel.offset("sock", name))
        let count = Int(try kernel.number(queue, "sk_buff_head", "qlen"))
        var next = try kernel.pointer(queue, "sk_buff_head", "next")
        var found: [Message] = []
        while next != queue, found.count < min(count, limit) {
            found.append(try message(next))
            next = try kernel.pointer(next, "sk_buff", "next")
        }
        guard found.count == min(count, limit) else { throw .badMessage }
        return found
    }

    private func message(_ buffer: UInt64) throws(Errno) -> Message {
        let head = try kernel.pointer(buffer, "sk_buff", "head")
        let count = Int(try kernel.number(buffer, "sk_buff", "len"))
        let inPages = Int(try kernel.number(buffer, "sk_buff", "data_len"))
        guard count <= Self.largestMessage, inPages <= count else { throw .badMessage }
        let pieces = inPages == 0 ? [] : try pages(behind: head + UInt64(kernel.number(buffer, "sk_buff", "end")))
        guard pieces.reduce(0, { $0 + $1.count }) == inPages else { throw .notSupported }
        return Message(
            address: buffer, head: head, data: try kernel.pointer(buffer, "sk_buff", "data"),
            owner: try kernel.pointer(buffer, "sk_buff", "sk"), count: count, linear: count - inPages, pages: pieces)
    }

    /// - Parameter shared: struct skb_shared_info.
    private func pages(behind shared: UInt64) throws(Errno) -> [Piece] {
        let place = shared + (try kernel.offset("skb_shared_info", "nr_frags"))
        let count = UInt64(try kernel.bytes(1, at: place).first ?? 0)
        // More pieces than a message may have (MAX_SKB_FRAGS).
        guard count <= 45 else { throw .badMessage }
        // Linux 5.4 to 6.8 have them in the form of those of block devices.
        let isNew = kernel.types.size(of: "skb_frag") != nil
        let (kind, page, length) = isNew ? ("skb_frag", "netmem", "len") : ("bio_vec", "bv_page", "bv_len")
        guard let size = kernel.types.size(of: kind) else { throw .notSupported }
        var found: [Piece] = []
        for index in 0..<count {
            let piece = shared + (try kernel.offset("skb_shared_info", "frags")) + index * UInt64(size)
            let description = try kernel.pointer(piece, kind, page)
            // The lowest bit marks the memory of a device.
            guard description & 1 == 0 else { throw .notSupported }
            let offset = try kernel.number(piece, kind, isNew ? "offset" : "bv_offset")
            found.append(
                Piece(page: description, offset: Int(offset), count: Int(try kernel.number(piece, kind, length))))
        }
        return found
    }

    /// The bytes of a message.
    public func payload(of message: Message) throws(Errno) -> [UInt8] {
        var bytes = try kernel.bytes(message.linear, at: message.data)
        for piece in message.pages {
            bytes += try kernel.bytes(piece.count, at: piece.offset, inPage: piece.page)
        }
        return bytes
    }
}
