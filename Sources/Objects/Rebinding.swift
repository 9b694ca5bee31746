public import Diagnostics
internal import Glibc
public import Images
internal import Linux

/// Another address for sockets of IP that have no connection (`--tcp-rebind OLD=NEW`): the host of the restore has others.
///
/// A connection cannot be given another address: its other end knows it by the old one.
public struct Rebinding: Sendable, CustomStringConvertible {
    private let old: Place
    private let new: Place
    public let description: String

    /// An address, and a port where one is given.
    private struct Place: Sendable, Equatable {
        var bytes: [UInt8]
        var port: UInt16?
    }

    /// - Returns: nil where the text is not `OLD=NEW`, each `ADDRESS` or `ADDRESS:PORT`, of one family. An address of IPv6 with
    ///   a port stands in brackets.
    public init?(_ text: String) {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let old = Self.place(parts[0]), let new = Self.place(parts[1]),
            old.bytes.count == new.bytes.count
        else { return nil }
        (self.old, self.new, description) = (old, new, text)
    }

    private static func place(_ text: Substring) -> Place? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let inside = text[text.index(after: text.startIndex)..<end]
            guard let bytes = address(inside, isSix: true) else { return nil }
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return Place(bytes: bytes) }
            guard rest.first == ":", let port = UInt16(rest.dropFirst()), port != 0 else { return nil }
            return Place(bytes: bytes, port: port)
        }
        if let bytes = address(text, isSix: true) { return Place(bytes: bytes) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let bytes = address(parts[0], isSix: false) else { return nil }
        if parts.count == 1 { return Place(bytes: bytes) }
        guard let port = UInt16(parts[1]), port != 0 else { return nil }
        return Place(bytes: bytes, port: port)
    }

    private static func address(_ text: Substring, isSix: Bool) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: isSix ? 16 : 4)
        // The memory is lent for the call alone.
        let result = unsafe bytes.withUnsafeMutableBytes {
            unsafe inet_pton(isSix ? AF_INET6 : AF_INET, String(text), $0.baseAddress)
        }
        return result == 1 ? bytes : nil
    }

    /// Changes what has been read of the images.
    ///
    /// - Returns: how many sockets have another address now.
    public func apply(to files: inout FileTable) -> Int {
        var count = 0
        for (key, entry) in files.entries where entry.hasIsk {
            var entry = entry
            if change(&entry.isk) {
                files.entries[key] = entry
                count += 1
            }
        }
        return count
    }

    private func change(_ socket: inout InetSkEntry) -> Bool {
        let isTCP = socket.proto == UInt32(InetSocket.tcp)
        if isTCP && TCPState.alive.contains(socket.state) { return false }
        let isSix = socket.family == UInt32(bitPattern: Sockets.inet6)
        guard var own = InetAddress(port: socket.srcPort, words: socket.srcAddr, isSix: isSix), own.port != 0,
            old.port == nil || old.port == own.port
        else { return false }
        // A socket of IPv6 may have an address of IPv4.
        let four = own.isMapped ? Array(own.bytes.suffix(4)) : nil
        if own.bytes == old.bytes {
            own.bytes = new.bytes
        } else if let four, four == old.bytes {
            own.bytes = own.bytes.dropLast(4) + new.bytes
        } else {
            return false
        }
        if let port = new.port { own.port = port }
        socket.srcAddr = own.words
        socket.srcPort = UInt32(own.port)
        return true
    }
}

extension Problem.Code {
    /// A new address was given for sockets that are not there.
    public static let badRebinding: Self = "bad-rebinding"
}
