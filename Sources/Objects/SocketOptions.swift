internal import Images
internal import Linux
internal import SystemPackage

/// Options that all sockets have (socket(7)): SkOptsEntry.
enum SocketOptions {
    /// Reads the options of a socket through a descriptor of Apus.
    static func capture(_ socket: Int32, isUnix: Bool) throws(Errno) -> SkOptsEntry {
        var entry = SkOptsEntry()
        entry.soSndbuf = UInt32(bitPattern: try Sockets.number(of: socket, .sendBuffer))
        entry.soRcvbuf = UInt32(bitPattern: try Sockets.number(of: socket, .receiveBuffer))
        (entry.soSndTmoSec, entry.soSndTmoUsec) = try time(socket, .sendTimeout)
        (entry.soRcvTmoSec, entry.soRcvTmoUsec) = try time(socket, .receiveTimeout)
        entry.reuseaddr = try Sockets.number(of: socket, .reuseAddress) != 0
        entry.soPriority = UInt32(bitPattern: try Sockets.number(of: socket, .priority))
        entry.soRcvlowat = UInt32(bitPattern: try Sockets.number(of: socket, .receiveLowWater))
        let mark = UInt32(bitPattern: try Sockets.number(of: socket, .mark))
        if mark != 0 { entry.soMark = mark }
        if isUnix {
            entry.soPasscred = try Sockets.number(of: socket, .passCredentials) != 0
            entry.soPasssec = try Sockets.number(of: socket, .passSecurity) != 0
        }
        entry.soDontroute = try Sockets.number(of: socket, .doNotRoute) != 0
        entry.soNoCheck = try Sockets.number(of: socket, .noCheck) != 0
        entry.soReuseport = try Sockets.number(of: socket, .reusePort) != 0
        entry.soBroadcast = try Sockets.number(of: socket, .broadcast) != 0
        entry.soKeepalive = try Sockets.number(of: socket, .keepAlive) != 0
        entry.soOobinline = try Sockets.number(of: socket, .urgentInline) == 0 ? 0 : 1
        // struct linger: whether, and how many seconds.
        let linger = try Sockets.bytes(of: socket, Sockets.Option.linger.rawValue, atMost: 8)
        if linger.count == 8, linger[0] != 0 { entry.soLinger = word(linger, 4) }
        let device = try Sockets.bytes(of: socket, Sockets.Option.boundDevice.rawValue, atMost: 16)
        if let end = device.firstIndex(of: 0), end > 0 {
            entry.soBoundDev = String(decoding: device[..<end], as: UTF8.self)
        }
        entry.soFilter = packed(try Sockets.filter(of: socket))
        // Unknown before Linux 5.14.
        if let locks = try? Sockets.number(of: socket, .bufferLocks) { entry.soBufLock = UInt32(bitPattern: locks) }
        return entry
    }

    /// Gives a new socket the options of an old one.
    static func apply(_ entry: SkOptsEntry, to socket: Int32) throws(Errno) {
        // The kernel doubles the sizes that it is told (socket(7)).
        try set(socket, .sendBuffer, entry.soSndbuf, by: .forcedSendBuffer, as: entry.soSndbuf / 2)
        try set(socket, .receiveBuffer, entry.soRcvbuf, by: .forcedReceiveBuffer, as: entry.soRcvbuf / 2)
        if entry.hasSoBufLock { try? set(socket, .bufferLocks, entry.soBufLock) }
        try setTime(socket, .sendTimeout, entry.soSndTmoSec, entry.soSndTmoUsec)
        try setTime(socket, .receiveTimeout, entry.soRcvTmoSec, entry.soRcvTmoUsec)
        let numbers: [(Sockets.Option, Bool, UInt32)] = [
            (.reuseAddress, entry.hasReuseaddr, entry.reuseaddr ? 1 : 0),
            (.reusePort, entry.hasSoReuseport, entry.soReuseport ? 1 : 0),
            (.priority, entry.hasSoPriority, entry.soPriority),
            (.receiveLowWater, entry.hasSoRcvlowat, entry.soRcvlowat),
            (.mark, entry.hasSoMark, entry.soMark),
            (.passCredentials, entry.hasSoPasscred, entry.soPasscred ? 1 : 0),
            (.passSecurity, entry.hasSoPasssec, entry.soPasssec ? 1 : 0),
            (.doNotRoute, entry.hasSoDontroute, entry.soDontroute ? 1 : 0),
            (.noCheck, entry.hasSoNoCheck, entry.soNoCheck ? 1 : 0),
            (.broadcast, entry.hasSoBroadcast, entry.soBroadcast ? 1 : 0),
            (.keepAlive, entry.hasSoKeepalive, entry.soKeepalive ? 1 : 0),
            (.urgentInline, entry.hasSoOobinline, entry.soOobinline),
        ]
        for (option, isThere, value) in numbers where isThere { try set(socket, option, value) }
        if entry.hasSoLinger {
            try Sockets.set(socket, Sockets.Option.linger.rawValue, to: bytes([1, entry.soLinger]))
        }
        if entry.hasSoBoundDev, !entry.soBoundDev.isEmpty {
            try Sockets.set(socket, Sockets.Option.boundDevice.rawValue, to: Array(entry.soBoundDev.utf8))
        }
        if !entry.soFilter.isEmpty {
            try Sockets.attach(unpacked(entry.soFilter), to: socket)
        }
    }

    /// Instructions of a filter (struct sock_filter: code, jt, jf, k) as images have them: from the code in the highest 16
    /// bits of a number down to k in the lowest 32, whatever the order of bytes in memory.
    static func packed(_ filter: [UInt8]) -> [UInt64] {
        stride(from: 0, to: filter.count, by: 8).map { start in
            let head = UInt64(word(filter, start))
            let (code, ifTrue, ifFalse) = (head & 0xffff, head >> 16 & 0xff, head >> 24)
            return code << 48 | ifTrue << 40 | ifFalse << 32 | UInt64(word(filter, start + 4))
        }
    }

    static func unpacked(_ filter: [UInt64]) -> [UInt8] {
        filter.flatMap { instruction in
            let (code, ifTrue, ifFalse) = (instruction >> 48, instruction >> 40 & 0xff, instruction >> 32 & 0xff)
            return bytes([
                UInt32(code | ifTrue << 16 | ifFalse << 24), UInt32(truncatingIfNeeded: instruction),
            ])
        }
    }

    /// Sets what is not so already: some options may be asked for by nobody but the superuser.
    private static func set(
        _ socket: Int32, _ option: Sockets.Option, _ value: UInt32, by setter: Sockets.Option? = nil,
        as given: UInt32? = nil
    ) throws(Errno) {
        if try Sockets.number(of: socket, option) == Int32(bitPattern: value) { return }
        try Sockets.set(socket, setter ?? option, to: Int32(bitPattern: given ?? value))
    }

    /// struct timeval.
    private static func time(_ socket: Int32, _ option: Sockets.Option) throws(Errno) -> (UInt64, UInt64) {
        let value = try Sockets.bytes(of: socket, option.rawValue, atMost: 16)
        guard value.count == 16 else { return (0, 0) }
        return (
            UInt64(word(value, 0)) | UInt64(word(value, 4)) << 32,
            UInt64(word(value, 8)) | UInt64(word(value, 12)) << 32
        )
    }

    private static func setTime(
        _ socket: Int32, _ option: Sockets.Option, _ seconds: UInt64, _ microseconds: UInt64
    ) throws(Errno) {
        if seconds == 0 && microseconds == 0 { return }
        let words = [seconds, microseconds].flatMap {
            [UInt32(truncatingIfNeeded: $0), UInt32(truncatingIfNeeded: $0 >> 32)]
        }
        try Sockets.set(socket, option.rawValue, to: bytes(words))
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(offset + $1 < bytes.count ? bytes[offset + $1] : 0) << UInt32(8 * $1) }
    }

    private static func bytes(_ words: [UInt32]) -> [UInt8] {
        words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
    }
}
