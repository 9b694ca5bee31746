internal import Glibc
internal import Linux

/// Where a host is reached, or where it listens.
struct InternetAddress: Sendable, Equatable {
    /// Four bytes or sixteen.
    let bytes: [UInt8]
    let port: UInt16

    /// The port where nothing else is said.
    static let usualPort: UInt16 = 12787

    var family: Int32 { bytes.count == 4 ? Sockets.inet : Sockets.inet6 }

    /// As the kernel takes it (ip(7), ipv6(7)).
    var raw: [UInt8] {
        let head = [UInt8(family), 0, UInt8(port >> 8), UInt8(port & 0xff)]
        return bytes.count == 4
            ? head + bytes + [UInt8](repeating: 0, count: 8) : head + [0, 0, 0, 0] + bytes + [0, 0, 0, 0]
    }

    /// From bytes of the kernel's; nil where they are of another family.
    init?(raw: [UInt8]) {
        guard raw.count >= 8 else { return nil }
        port = UInt16(raw[2]) << 8 | UInt16(raw[3])
        switch Int32(raw[0]) {
        case Sockets.inet: bytes = Array(raw[4..<8])
        case Sockets.inet6 where raw.count >= 24: bytes = Array(raw[8..<24])
        default: return nil
        }
    }

    /// Reads an address in figures.
    init?(_ text: String, port: UInt16) {
        var (four, six) = (in_addr(), in6_addr())
        // unsafe: the text as a C string, and pointers to locals.
        if unsafe inet_pton(AF_INET, text, &four) == 1 {
            bytes = unsafe withUnsafeBytes(of: &four) { unsafe Array($0) }
        } else if unsafe inet_pton(AF_INET6, text, &six) == 1 {
            bytes = unsafe withUnsafeBytes(of: &six) { unsafe Array($0) }
        } else {
            return nil
        }
        self.port = port
    }

    var text: String {
        if bytes.count == 4 { return bytes.map { String($0) }.joined(separator: ".") + ":\(port)" }
        var buffer = [CChar](repeating: 0, count: 64)
        let (family, size) = (family, socklen_t(buffer.count))
        // unsafe: both are long enough, and lent for the call.
        let isDone = unsafe buffer.withUnsafeMutableBufferPointer { buffer in
            unsafe bytes.withUnsafeBytes { unsafe inet_ntop(family, $0.baseAddress, buffer.baseAddress, size) != nil }
        }
        let figures = isDone ? buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } : []
        return "[" + String(decoding: figures, as: UTF8.self) + "]:\(port)"
    }

    /// Takes `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or an address of IPv6 apart; nil where it is none of them.
    static func split(_ text: String) -> (host: String, port: UInt16)? {
        var (host, port) = (Substring(text), usualPort)
        if text.hasPrefix("[") {
            guard let end = text.lastIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let number = UInt16(rest.dropFirst()) else { return nil }
                port = number
            }
        } else if text.count(where: { $0 == ":" }) == 1, let colon = text.firstIndex(of: ":") {
            guard let number = UInt16(text[text.index(after: colon)...]) else { return nil }
            host = text[..<colon]
            port = number
        }
        return host.isEmpty ? nil : (String(host), port)
    }

    /// The addresses of a name.
    ///
    /// getent(1) looks them up: a static executable has the C library's own ways to do so only in part, and a host may have others
    /// (nsswitch.conf(5)).
    static func resolve(_ host: String, port: UInt16) -> [Self] {
        if let address = Self(host, port: port) { return [address] }
        guard !host.hasPrefix("-"), let program = try? Subprocess.spawnPiped(["getent", "ahosts", host]) else {
            return []
        }
        let text = (try? Files.readAll(program.output.raw, limit: 64 << 10)) ?? []
        _ = try? Processes.wait(for: program.pid)
        var found: [Self] = []
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let word = line.split(separator: " ").first.map { String($0) } ?? ""
            if let address = Self(word, port: port), !found.contains(address) { found.append(address) }
        }
        return found
    }
}
