internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A TCP connection that the kernel has made and nobody has accepted yet, as the supplement of the listening socket has it.
/// It has no descriptor: what is to be known of it is read from the kernel's memory (`KernelMemory`).
struct WaitingStream: Equatable, Sendable {
    /// As the packets have them.
    var ends: PacketFilter.Connection
    /// The sequence numbers behind what was received and sent; a FIN counts.
    var received, sent: UInt32
    /// What the ends have agreed upon: timestamps 1, selective acknowledgements 2, window scales 4.
    var options: UInt8
    var sendScale, receiveScale: UInt8
    var largestSegment: UInt16
    /// The timestamp that it would have sent at the dump, and the last one of the other end.
    var timestamp, peerTimestamp: UInt32
    /// The window of the other end.
    var window: UInt32
    /// The other end has said that it sends nothing more.
    var hasEnded: Bool
    /// By which number the images have what was received (`sk-queues.img`).
    var data: UInt32

    static let (timestamps, selective, scaled): (UInt8, UInt8, UInt8) = (1, 2, 4)

    init(_ stream: KernelMessages.Stream, data: UInt32) {
        ends = stream.ends
        (received, sent) = (stream.received, stream.sent)
        (options, sendScale, receiveScale) = (stream.options, stream.sendScale, stream.receiveScale)
        largestSegment = stream.largestSegment
        // The kernel's clock for them is the monotonic one, in milliseconds.
        timestamp = UInt32(truncatingIfNeeded: SystemClock.monotonic.now / 1_000_000) &+ stream.timestampOffset
        peerTimestamp = stream.peerTimestamp
        window = stream.window
        hasEnded = stream.state == UInt8(TCPState.closeWait)
        self.data = data
    }

    /// The other end, for people.
    var peer: InetAddress { Self.address(ends.other) }
    var own: InetAddress { Self.address(ends.own) }

    static func address(_ end: PacketFilter.End) -> InetAddress {
        var address = InetAddress(isSix: end.address.count == 16)
        (address.bytes, address.port) = (end.address, end.port)
        return address
    }

    // MARK: As JSON

    var json: JSON {
        let numbers: [(String, UInt32)] = [
            ("ownPort", UInt32(ends.own.port)), ("peerPort", UInt32(ends.other.port)), ("received", received),
            ("sent", sent), ("options", UInt32(options)), ("sendScale", UInt32(sendScale)),
            ("receiveScale", UInt32(receiveScale)), ("segment", UInt32(largestSegment)), ("timestamp", timestamp),
            ("peerTimestamp", peerTimestamp), ("window", window), ("ended", hasEnded ? 1 : 0), ("data", data),
        ]
        return .object(
            [
                .init("own", .string(Hexadecimal.text(ends.own.address))),
                .init("peer", .string(Hexadecimal.text(ends.other.address))),
            ] + numbers.map { .init($0, .integer(Int64($1))) })
    }

    /// - Returns: nil where it is not of this form.
    init?(_ json: JSON) {
        func number<Value: FixedWidthInteger>(_ name: String, _ type: Value.Type = Value.self) -> Value? {
            json[name]?.bits.flatMap { Value(exactly: $0) }
        }
        func address(_ name: String) -> [UInt8]? {
            guard case .string(let text)? = json[name] else { return nil }
            return Hexadecimal.bytes(text)
        }
        guard let own = address("own"), let peer = address("peer"), own.count == peer.count,
            [4, 16].contains(own.count),
            let ownPort = number("ownPort", UInt16.self), let peerPort = number("peerPort", UInt16.self), ownPort != 0,
            peerPort != 0, let received = number("received", UInt32.self), let sent = number("sent", UInt32.self),
            let options = number("options", UInt8.self), options < 8,
            let sendScale = number("sendScale", UInt8.self), sendScale <= 14,
            let receiveScale = number("receiveScale", UInt8.self), receiveScale <= 14,
            let segment = number("segment", UInt16.self), let timestamp = number("timestamp", UInt32.self),
            let peerTimestamp = number("peerTimestamp", UInt32.self), let window = number("window", UInt32.self),
            let ended = number("ended", UInt8.self), ended <= 1, let data = number("data", UInt32.self)
        else { return nil }
        ends = .init(own: .init(address: own, port: ownPort), other: .init(address: peer, port: peerPort))
        (self.received, self.sent, self.options) = (received, sent, options)
        (self.sendScale, self.receiveScale, largestSegment) = (sendScale, receiveScale, segment)
        (self.timestamp, self.peerTimestamp, self.window) = (timestamp, peerTimestamp, window)
        (hasEnded, self.data) = (ended == 1, data)
    }
}

extension InetSocket {
    /// The connections that a socket will accept, in their order.
    ///
    /// - Parameter listener: a descriptor of Apus of that socket.
    static func waitingStreams(_ listener: Int32) throws(Errno) -> [KernelMessages.Stream] {
        try KernelMemory.use { (kernel) throws(Errno) in
            try KernelMessages(kernel).streams(waitingAt: kernel.socket(listener))
        }
    }

    /// Why connections that wait to be accepted cannot be carried, where there are any.
    static func waitingObstacle(
        _ seen: SeenDescriptor, _ socket: Int32, _ state: TCPState, _ circumstances: Circumstances
    ) -> Problem? {
        guard state.number == listening, state.waiting > 0, !circumstances.skipsInFlight else { return nil }
        func problem(_ why: String, _ cause: Problem.Cause? = nil) -> Problem {
            Problem(
                .underWay, "\(state.waiting) TCP connections wait to be accepted" + why, object: seen.object,
                cause: cause,
                remedy: "Dump again when the process has served them, or give --skip-in-flight, which breaks them off")
        }
        // To accept them is the program's part; they are carried when it does not.
        guard circumstances.carriesWaiting, circumstances.connections == .carried else { return problem("") }
        if let why = hindrance(toListening: socket, circumstances.sockets) { return problem(", and \(why)") }
        do throws(Errno) {
            for stream in try waitingStreams(socket) {
                if let why = hindrance(to: stream) {
                    return problem(", and that from \(WaitingStream.address(stream.ends.other)) \(why)")
                }
            }
            return nil
        } catch {
            return problem(", and cannot be read", .init(error, attempted: "read the kernel's memory (BPF)"))
        }
    }

    /// What of the listening socket itself keeps the restore from having it asked again: it would not be the one that is asked.
    private static func hindrance(toListening socket: Int32, _ table: SocketTable) -> String? {
        if let name = try? Sockets.bytes(of: socket, Sockets.Option.boundDevice.rawValue, atMost: 16), !name.isEmpty,
            name[0] != 0
        {
            return "the socket is bound to a network device"
        }
        guard (try? Sockets.number(of: socket, .reusePort)) == 1,
            let own = InetAddress((try? Sockets.name(of: socket)) ?? [])
        else { return nil }
        let others = table.tcp.values.filter { $0.state == TCPSocketReport.listening && $0.port == own.port }
        return others.count > 1 ? "several sockets listen at that port (SO_REUSEPORT)" : nil
    }

    private static func hindrance(to stream: KernelMessages.Stream) -> String? {
        if ![TCPState.established, TCPState.closeWait].contains(UInt32(stream.state)) {
            return "is in state \(stream.state), which cannot be made again"
        }
        if stream.unacknowledged != stream.sent { return "has sent what is not acknowledged" }
        if stream.isUrgent { return "holds urgent data" }
        if stream.device != 0 { return "goes through one network device alone" }
        return nil
    }
}

extension Descriptions {
    /// Records the connections that a socket will accept.
    ///
    /// - Throws: `under-way` where one has come since the network was locked; `object-unreadable`.
    func noteWaiting(
        _ seen: SeenDescriptor, _ socket: InetSkEntry, through own: Int32, _ supplement: inout SocketSupplement
    ) throws(Problem) {
        guard socket.state == InetSocket.listening, socket.proto == UInt32(InetSocket.tcp),
            circumstances.carriesWaiting, !circumstances.skipsInFlight
        else { return }
        let found: [KernelMessages.Stream]
        do throws(Errno) {
            guard try TCPState(own).waiting > 0 else { return }
            found = try InetSocket.waitingStreams(own)
        } catch {
            throw unreadable(seen, error, "read the kernel's memory (BPF)")
        }
        for stream in found {
            guard connections?.covers(stream.ends) == true else {
                throw Problem(
                    .underWay, "a TCP connection has come while the tree stood still already", object: seen.object,
                    remedy: "Dump again")
            }
            let id = nextID()
            if !stream.payload.isEmpty { record(SocketMessage(stream.payload), with: [], for: id) }
            supplement.streams.append(WaitingStream(stream, data: id))
        }
    }
}
