internal import Linux
internal import SystemPackage

/// Bytes that wait to be written, or for somebody to read them.
struct WaitingBytes {
    private(set) var bytes: [UInt8] = []
    var count: Int { bytes.count }
    var isEmpty: Bool { bytes.isEmpty }

    mutating func append(_ more: [UInt8]) { bytes += more }

    /// Forgets all but the last part, which then begins with a whole line where there is one.
    ///
    /// - Parameter limit: in bytes.
    mutating func keepLast(_ limit: Int) {
        if bytes.count <= limit { return }
        bytes.removeFirst(bytes.count - limit)
        if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) { bytes.removeFirst(end + 1) }
    }

    /// Takes all.
    mutating func takeAll() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    /// Writes what the descriptor takes now, which does not wait (O_NONBLOCK).
    ///
    /// - Returns: how many bytes it took.
    /// - Throws: what write(2) says, but EAGAIN.
    @discardableResult
    mutating func write(to descriptor: Int32) throws(Errno) -> Int {
        var done = 0
        defer { bytes.removeFirst(done) }
        while done < bytes.count {
            let result = unsafe bytes[done...].withUnsafeBytes { part -> Result<Int, Errno> in
                // The array lends its bytes for the call.
                Result { () throws(Errno) in try unsafe Files.writeSome(descriptor, from: part) }
            }
            do throws(Errno) { done += try result.get() } catch {
                if error == .wouldBlock { break }
                throw error
            }
        }
        return done
    }
}
