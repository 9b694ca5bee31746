internal import Linux
internal import SystemPackage

/// Has a connection come anew to a socket that listens, as it had come before the dump: nobody can put a connection into the
/// queue of those that wait to be accepted, but the kernel itself, when somebody asks for one.
///
/// So the other end is played, by forged segments through the loopback device, with the mark by which the lock lets them pass. What
/// cannot be played is the number at which this end begins, which the kernel chooses; except that it goes on behind the old number
/// where a connection between the same ends has just ended and is still remembered (TIME_WAIT; RFC 1122, 4.2.2.13):
/// Linux begins 65,537 above it. So such an end is made first, of a connection in repair mode, with the number that it takes.
struct Admission {
    /// A descriptor of the socket that listens.
    let listener: Int32
    let stream: WaitingStream
    let payload: [UInt8]
    /// Whether it has timestamps: not where this host's would be behind those that the other end has seen.
    var usesTimestamps: Bool

    init(_ stream: WaitingStream, _ payload: [UInt8], to listener: Int32) {
        (self.listener, self.stream, self.payload) = (listener, stream, payload)
        usesTimestamps = stream.options & WaitingStream.timestamps != 0
    }

    /// What a trial has shown.
    enum Verdict: Equatable {
        case same
        /// The clock of this host is behind.
        case timestampsBehind
        case different(String)
    }

    /// Whether it is that socket which is asked: it may have come back at another address, and images are not to be trusted.
    private var isReached: Bool {
        guard let place = (try? Sockets.name(of: listener)).flatMap(InetAddress.init), place.port == stream.own.port
        else { return false }
        return place.bytes.allSatisfy { $0 == 0 } || place.end == stream.ends.own
    }

    /// Where the other end began: before its first byte.
    private var start: UInt32 { stream.received &- (stream.hasEnded ? 1 : 0) &- UInt32(payload.count) &- 1 }

    // MARK: Making

    /// Has the connection come.
    func make() throws(Errno) {
        try leaveBehind(stream.sent &- 1 &- 65_537)
        // SYN, and the acknowledgement of the answer, which the lock keeps from the other end.
        try send(start, acknowledging: nil, options: firstOptions, window: UInt16(clamping: stream.window))
        let window = UInt16(clamping: stream.window >> UInt32(stream.sendScale))
        try send(start &+ 1, acknowledging: stream.sent, window: window)
        var (rest, next) = (payload[...], start &+ 1)
        while !rest.isEmpty {
            let part = Array(rest.prefix(16 << 10))
            try send(next, acknowledging: stream.sent, payload: part, window: window)
            next &+= UInt32(part.count)
            rest = rest.dropFirst(part.count)
        }
        if stream.hasEnded { try send(next, acknowledging: stream.sent, isFinal: true, window: window) }
    }

    /// Takes back what has not become a connection.
    func takeBack() {
        var segment = ForgedSegment(
            stream.ends, sequence: start &+ 1, acknowledgement: stream.sent, isFinal: false)
        segment.isReset = true
        try? segment.send(mark: NetworkLock.mark, scope: 0)
    }

    /// Makes the end of a connection between the same ends that both have closed, the last number of which is this.
    private func leaveBehind(_ last: UInt32) throws(Errno) {
        let before = start &- 10
        let isSix = stream.ends.own.address.count == 16
        let socket = try Sockets.make(isSix ? Sockets.inet6 : Sockets.inet, Sockets.stream, InetSocket.tcp)
        let raw = socket.raw
        try Sockets.setRepair(raw, .on)
        try Sockets.chooseQueue(raw, .receive)
        try Sockets.setQueueSequence(raw, before)
        try Sockets.chooseQueue(raw, .send)
        try Sockets.setQueueSequence(raw, last &- 1)
        try Sockets.bind(raw, stream.own.encoded)
        try Sockets.connect(raw, stream.peer.encoded)
        // In repair mode the FIN counts as sent.
        try Sockets.shutDown(raw, 1)
        try send(before, acknowledging: last, isFinal: true, timestamps: false, window: .max)
        try Sockets.setRepair(raw, .silentlyOff)
    }

    private func send(
        _ sequence: UInt32, acknowledging number: UInt32?, options: [UInt8]? = nil, payload: [UInt8] = [],
        isFinal: Bool = false, timestamps: Bool = true, window: UInt16
    ) throws(Errno) {
        var segment = ForgedSegment(
            stream.ends, sequence: sequence, acknowledgement: number ?? 0, isFinal: isFinal, window: window)
        segment.isFirst = number == nil
        segment.options = options ?? (timestamps && usesTimestamps ? [1, 1] + timestampOption : [])
        segment.payload = payload
        try segment.send(mark: NetworkLock.mark, scope: 0)
    }

    /// Options of TCP by their numbers (RFC 9293 and 7323), filled up to whole words.
    private var firstOptions: [UInt8] {
        var options = [2, 4, UInt8(stream.largestSegment >> 8), UInt8(stream.largestSegment & 0xff)]
        if stream.options & WaitingStream.selective != 0 { options += [4, 2] }
        if usesTimestamps { options += timestampOption }
        if stream.options & WaitingStream.scaled != 0 { options += [3, 3, stream.sendScale] }
        while options.count % 4 != 0 { options.append(1) }
        return options
    }

    private var timestampOption: [UInt8] {
        [8, 10] + (0..<4).map { UInt8(truncatingIfNeeded: stream.peerTimestamp >> UInt32(24 - 8 * $0)) } + [0, 0, 0, 0]
    }

    // MARK: Trying

    /// Has the connection come, takes it from the queue, which has to be empty, compares it and ends it without a word.
    func tried() throws(Errno) -> Verdict {
        guard isReached else { return .different("its listening socket is at another address now") }
        try make()
        var entries = [Files.PollEntry(listener, .readable)]
        guard try Files.poll(&entries, timeout: 300_000_000) > 0 else {
            takeBack()
            return .different("it does not come")
        }
        let made = try Sockets.accept(listener)
        try Sockets.setRepair(made.raw, .on)
        guard let peer = InetAddress(try Sockets.peerName(of: made.raw)), peer.end == stream.ends.other else {
            return .different("another came at the same time, and is broken off, too")
        }
        return try compared(made.raw)
    }

    private func compared(_ made: Int32) throws(Errno) -> Verdict {
        try Sockets.chooseQueue(made, .receive)
        guard try Sockets.queueSequence(made) == stream.received else { return .different("its data do not fit in") }
        try Sockets.chooseQueue(made, .send)
        guard try Sockets.queueSequence(made) == stream.sent else {
            return .different("this kernel begins at another sequence number")
        }
        let state = try TCPState(made)
        guard state.number == (stream.hasEnded ? TCPState.closeWait : TCPState.established) else {
            return .different("it is in state \(state.number)")
        }
        let wanted = usesTimestamps ? stream.options : stream.options & ~WaitingStream.timestamps
        guard state.options & 7 == wanted else { return .different("this host does not agree to the same options") }
        guard !(wanted & WaitingStream.scaled != 0) || state.scales == stream.sendScale | stream.receiveScale << 4
        else {
            return .different(
                "this host announces windows in other units (\(state.scales >> 4), not \(stream.receiveScale);"
                    + " net.ipv4.tcp_rmem, net.core.rmem_max)")
        }
        guard usesTimestamps else { return .same }
        let now = try Sockets.number(of: made, Sockets.TCPOption.timestamp, level: Sockets.tcpLevel)
        return Int32(bitPattern: UInt32(bitPattern: now) &- stream.timestamp) >= 0 ? .same : .timestampsBehind
    }
}

extension Admission {
    /// Has the connections come anew that nobody had accepted: each once for a trial, then all in their order.
    ///
    /// - Returns: what could not be made again, in words.
    static func admit(
        _ streams: [(stream: WaitingStream, payload: [UInt8])], to listener: Int32
    ) throws(Errno) -> [String] {
        if streams.isEmpty { return [] }
        // With it a connection without data would wait for some (TCP_DEFER_ACCEPT).
        let deferring: Int32 = 9
        let seconds = try Sockets.number(of: listener, deferring, level: InetSocket.tcp)
        try Sockets.set(listener, deferring, level: InetSocket.tcp, to: 0)
        defer { try? Sockets.set(listener, deferring, level: InetSocket.tcp, to: seconds) }
        var (admitted, lost): ([Admission], [String]) = ([], [])
        for (stream, payload) in streams {
            var admission = Admission(stream, payload, to: listener)
            var verdict = Result { () throws(Errno) in try admission.tried() }
            if case .success(.timestampsBehind) = verdict {
                admission.usesTimestamps = false
                verdict = Result { () throws(Errno) in try admission.tried() }
            }
            switch verdict {
            case .success(.same): admitted.append(admission)
            case .success(.timestampsBehind): lost.append(text(stream, "its timestamps go back"))
            case .success(.different(let why)): lost.append(text(stream, why))
            case .failure(let error): lost.append(text(stream, "\(error)"))
            }
        }
        for admission in admitted { try admission.make() }
        let missing = admitted.count - Int(try TCPState(listener).waiting)
        if missing > 0 { lost.append("\(missing) TCP connections that waited to be accepted are broken off") }
        return lost
    }

    private static func text(_ stream: WaitingStream, _ why: String) -> String {
        "the TCP connection from \(stream.peer) to \(stream.own), which nobody had accepted, is broken off: \(why)"
    }
}
