internal import Diagnostics
public import Images
internal import Linux
internal import SystemPackage
internal import Tracing

// Connections of TCP at the restore: made in repair mode, which they leave when the tree is released.

/// A connection as images have it.
public struct TCPStreamImage: Sendable {
    var entry: TcpStreamEntry
    /// What was received and not read, then what was sent and not acknowledged.
    var queues: [UInt8]

    public init(_ entry: TcpStreamEntry, queues: [UInt8]) {
        self.entry = entry
        self.queues = queues
    }
}

/// A connection that is in repair mode until the tree is released.
final class RepairedConnection {
    let socket: OwnedDescriptor
    let sharesAddress: Bool
    init(_ socket: consuming OwnedDescriptor, sharesAddress: Bool) {
        self.socket = socket
        self.sharesAddress = sharesAddress
    }
}

extension InetSocketEnd {
    /// - Throws: `object-unsupported` for what could never have been.
    static func check(
        _ entry: InetSkEntry, _ own: InetAddress, _ peer: InetAddress, _ stream: TCPStreamImage?
    ) throws(Problem) {
        func invalid(_ what: String) -> Problem {
            Problem(
                .objectUnsupported, "the images hold a TCP connection (socket \(entry.id), to \(peer)) \(what)",
                remedy: "Copy the images again, all of them")
        }
        guard TCPState.alive.contains(entry.state) else {
            throw invalid("in state \(entry.state), which no connection has that goes on")
        }
        guard let stream else { throw invalid("without its state: tcp-stream-\(String(entry.ino, radix: 16)).img") }
        let (received, sent) = (UInt64(stream.entry.inqLen), UInt64(stream.entry.outqLen))
        guard received + sent == UInt64(stream.queues.count), stream.entry.unsqLen <= stream.entry.outqLen,
            stream.entry.sndWscale <= 14, stream.entry.rcvWscale <= 14, own.port != 0, peer.port != 0,
            stream.entry.mssClamp <= 0xffff
        else { throw invalid("whose numbers contradict each other") }
    }

    func connectionObstacles(at site: RestoreSite) -> [Problem] {
        switch site.connectionPolicy {
        case .closed: return []
        case .refused:
            return [
                Problem(
                    .objectUnsupported, "the images hold a TCP connection to \(peer)",
                    remedy: "Give --tcp-established to carry it on, or --tcp-close to have it closed")
            ]
        case .carried: break
        }
        do throws(Errno) {
            let socket = try Sockets.make(Int32(bitPattern: entry.family), Sockets.stream, InetSocket.tcp)
            try Sockets.setRepair(socket.raw, .on)
            try prepare(socket.raw)
            try site.countOnComing(own, for: socket.raw)
            try Sockets.bind(socket.raw, try scoped(own, socket.raw).encoded)
            return []
        } catch {
            if error == .notPermitted {
                return [
                    Problem(
                        .fileUnopenable, "a TCP connection cannot be made again",
                        cause: .init(error, attempted: "setsockopt(TCP_REPAIR)"),
                        remedy: "Run Apus with CAP_NET_ADMIN")
                ]
            }
            return [
                Problem(
                    .fileUnopenable, "this host has not the address \(own) of the TCP connection to \(peer)",
                    cause: .init(error, attempted: "bind(\(own))"),
                    remedy: "Give this host the address, for example with `ip address add`: a connection lives at its"
                        + " address alone. `apus migrate --move-address` moves it. Or give --tcp-close, which closes"
                        + " the connections")
            ]
        }
    }

    func openConnection(_ stream: TCPStreamImage, at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if site.connectionPolicy == .closed {
            var closed = entry
            (closed.state, closed.shutdown) = (InetSocket.closed, .both)
            // It has no address any more, which this host may not have.
            let nowhere = InetAddress(isSix: own.isSix)
            return try InetSocketEnd(closed, own: nowhere, peer: nowhere, supplement).open(at: site)
        }
        do throws(Errno) {
            let socket = try connected(stream)
            site.connections.madeOne(sharesAddress: entry.opts.reuseaddr)
            return socket
        } catch {
            let isTaken = error == .addressNotAvailable || error == .addressInUse
            throw Problem(
                isTaken ? .nameInUse : .fileUnopenable,
                isTaken
                    ? "the TCP connection from \(own) to \(peer) is there already"
                    : "the TCP connection from \(own) to \(peer) cannot be made",
                cause: .init(error, attempted: "socket, setsockopt(TCP_REPAIR), connect"),
                remedy: isTaken
                    ? "End the program that has it (ss -tnp shows which), then restore again"
                    : "See that this host has the address and a route to the other end, and that Apus runs as root")
        }
    }

    private func connected(_ stream: TCPStreamImage) throws(Errno) -> OwnedDescriptor {
        let socket = try Sockets.make(Int32(bitPattern: entry.family), Sockets.stream, InetSocket.tcp)
        let (raw, state, image) = (socket.raw, entry.state, stream.entry)
        let needsForgery = TCPState.hasReceivedEnd(state) || state == TCPState.waiting2
        try Sockets.setRepair(raw, .on)
        // Sequence numbers in images are those behind the queues, and a FIN counts.
        let receivedEnd: UInt32 = TCPState.hasReceivedEnd(state) ? 1 : 0
        let sentEnd: UInt32 = TCPState.hasSentEnd(state) || state == TCPState.connecting ? 1 : 0
        try Sockets.chooseQueue(raw, .receive)
        try Sockets.setQueueSequence(raw, image.inqSeq &- receivedEnd &- image.inqLen)
        try Sockets.chooseQueue(raw, .send)
        try Sockets.setQueueSequence(raw, image.outqSeq &- sentEnd &- image.outqLen)
        try prepare(raw, leavesDevice: needsForgery)
        if entry.opts.hasSoMark { try Sockets.set(raw, .mark, to: Int32(bitPattern: entry.opts.soMark)) }
        try Sockets.bind(raw, try scoped(own, raw).encoded)
        if state == TCPState.connecting {
            try connectAnew(raw)
            return socket
        }
        try Sockets.connect(raw, try scoped(peer, raw).encoded)
        try agree(raw, image)
        // Room for all that was queued, whatever its segments were like.
        let room = Int32(clamping: 4 * stream.queues.count + (1 << 20))
        try Sockets.set(raw, .forcedReceiveBuffer, to: room)
        try Sockets.set(raw, .forcedSendBuffer, to: room)
        try Sockets.chooseQueue(raw, .receive)
        let received = Array(stream.queues.prefix(Int(image.inqLen)))
        try send(received, to: raw)
        try setProtocolOptions(raw)
        let sent = Array(stream.queues.dropFirst(received.count))
        let acknowledgeable = sent.count - Int(image.unsqLen)
        try Sockets.chooseQueue(raw, .send)
        try send(Array(sent.prefix(acknowledgeable)), to: raw)
        try end(raw, image, unsent: Array(sent.dropFirst(acknowledgeable)))
        try setSocketOptions(raw)
        try openWindow(raw)
        return socket
    }

    /// How much may be announced. The kernel has derived that from the buffer that a new socket has, and what it announces grows
    /// from there; but where the buffer has grown as far as it may, nothing would make the one follow the other.
    private func openWindow(_ raw: Int32) throws(Errno) {
        // After the largest window is known, which bounds the size of segments.
        Sockets.renewSegmentSize(raw, isSix: own.isSix && !own.isMapped)
        let clamp = Sockets.TCPOption.windowClamp
        // What the program has wished for stands.
        if supplement.tcpOptions.contains(where: { $0.option == clamp }) { return }
        let buffer = try Sockets.number(of: raw, .receiveBuffer)
        let now = try Sockets.number(of: raw, clamp, level: Sockets.tcpLevel)
        // Half of a buffer is what the kernel thinks that bytes can fill before it has seen any. By a clamp that rises, be it by
        // one, the window that was announced becomes the one that is announced next.
        try Sockets.set(raw, clamp, level: Sockets.tcpLevel, to: max(buffer / 2, now == .max ? now : now + 1))
    }

    /// The rest, of which nothing sends a segment.
    private func setSocketOptions(_ raw: Int32) throws(Errno) {
        var options = entry.opts
        // Repair mode brings its own kind of sharing, which ends with it.
        options.clearReuseaddr()
        try SocketOptions.apply(options, to: raw)
        try supplement.applyOptions(to: raw)
        let flags = OpenFlags(rawValue: Int32(bitPattern: entry.flags))
        try Files.setStatusFlags(raw, flags.subtracting([.writeOnly, .readWrite]))
    }

    /// What the ends have agreed upon.
    private func agree(_ raw: Int32, _ image: TcpStreamEntry) throws(Errno) {
        // The numbers of TCPI_OPT_*, and those of the options of TCP.
        let (timestamps, selective, scaled): (UInt32, UInt32, UInt32) = (1, 2, 4)
        var options: [(code: UInt32, value: UInt32)] = [(2, image.mssClamp)]
        if image.optMask & scaled != 0 { options.append((3, image.sndWscale | image.rcvWscale << 16)) }
        if image.optMask & selective != 0 { options.append((4, 0)) }
        if image.optMask & timestamps != 0 { options.append((8, 0)) }
        try Sockets.setRepairOptions(raw, options)
        // Before a queue is filled: what is queued is cut into segments.
        Sockets.renewSegmentSize(raw, isSix: own.isSix && !own.isMapped)
        if image.hasTimestamp {
            try Sockets.set(
                raw, Sockets.TCPOption.timestamp, level: Sockets.tcpLevel, to: Int32(bitPattern: image.timestamp))
        }
    }

    /// Fills a queue in repair mode, or sends.
    private func send(_ bytes: [UInt8], to raw: Int32) throws(Errno) {
        // Segments of this size are taken in one piece of memory.
        let most = 32 << 10
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try Sockets.sendStream(raw, Array(rest.prefix(most)))
            guard count > 0 else { throw .ioError }
            rest = rest.dropFirst(count)
        }
    }

    /// Closes the directions that were closed, queues what was not sent, and sets the windows.
    private func end(_ raw: Int32, _ image: TcpStreamEntry, unsent: [UInt8]) throws(Errno) {
        let state = entry.state
        let start = image.outqSeq &- (TCPState.hasSentEnd(state) ? 1 : 0) &- image.outqLen
        if TCPState.hasReceivedEnd(state), state != TCPState.closing {
            try forge(raw, image.inqSeq &- 1, acknowledging: start, isFinal: true)
        }
        let window = Sockets.RepairWindow(
            updatedAt: image.sndWl1, sendWindow: image.sndWnd, largestWindow: image.maxWindow,
            receiveWindow: image.rcvWnd, receiveUpdate: image.rcvWup)
        if !unsent.isEmpty || (TCPState.hasSentEnd(state) && image.unsqLen > 0) {
            // Bytes that are written in repair mode count as sent. These wait before a closed window, outside of that mode.
            var shut = window
            shut.sendWindow = 0
            // The FIN of the other end has not come yet.
            if state == TCPState.closing { shut.receiveUpdate &-= 1 }
            if image.hasSndWl1 { try Sockets.setRepairWindow(raw, shut) }
            try Sockets.setRepair(raw, .silentlyOff)
            try send(unsent, to: raw)
            if TCPState.hasSentEnd(state) { try Sockets.shutDown(raw, 1) }
            try Sockets.setRepair(raw, .on)
        } else if TCPState.hasSentEnd(state) {
            try Sockets.shutDown(raw, 1)
        }
        if state == TCPState.closing { try forge(raw, image.inqSeq &- 1, acknowledging: start, isFinal: true) }
        if state == TCPState.waiting2 {
            try forge(raw, image.inqSeq, acknowledging: image.outqSeq, isFinal: false)
        }
        if entry.shutdown == .read || entry.shutdown == .both, !TCPState.hasReceivedEnd(state) {
            try Sockets.shutDown(raw, 0)
        }
        if image.hasSndWl1 { try Sockets.setRepairWindow(raw, window) }
        guard try TCPState(raw).number == state else { throw .ioError }
    }

    /// Has the socket receive a segment of the other end.
    private func forge(
        _ raw: Int32, _ sequence: UInt32, acknowledging number: UInt32, isFinal: Bool
    ) throws(Errno) {
        try ForgedSegment(
            .init(own: own.end, other: peer.end), sequence: sequence, acknowledgement: number, isFinal: isFinal
        ).send(mark: NetworkLock.mark, scope: try scoped(own, raw).scope)
    }

    /// A connection that was being made: the same first segment is sent again.
    private func connectAnew(_ raw: Int32) throws(Errno) {
        try Sockets.setRepair(raw, .silentlyOff)
        try setProtocolOptions(raw)
        try setSocketOptions(raw)
        let before = try Files.statusFlags(raw)
        try Files.setStatusFlags(raw, before.union(.nonBlocking))
        do throws(Errno) { try Sockets.connect(raw, try scoped(peer, raw).encoded) } catch {
            guard error == .nowInProgress else { throw error }
        }
        try Files.setStatusFlags(raw, before)
        try Sockets.setRepair(raw, .on)
    }
}
