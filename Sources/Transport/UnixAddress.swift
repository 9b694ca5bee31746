internal import Linux

/// The path of a Unix socket (unix(7)).
struct UnixAddress {
    let raw: [UInt8]

    /// - Returns: nil for a path that is too long, or empty.
    init?(_ path: String) {
        let bytes = Array(path.utf8)
        guard (1..<108).contains(bytes.count), !bytes.contains(0) else { return nil }
        raw = [UInt8(Sockets.unix), 0] + bytes + [0]
    }
}
