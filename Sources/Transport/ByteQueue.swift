internal import Linux
internal import NIOCore
internal import SystemPackage

/// Bytes that wait to be written to a descriptor.
struct ByteQueue {
    private var buffers = CircularBuffer<ByteBuffer>()
    private(set) var count = 0

    /// How much is read at a time.
    static let pieceSize = 256 << 10

    mutating func append(_ bytes: ByteBuffer) {
        if bytes.readableBytes == 0 { return }
        count += bytes.readableBytes
        buffers.append(bytes)
    }

    /// Reads once.
    ///
    /// - Returns: what has come, nothing at the end; nil where nothing has come yet.
    static func read(_ descriptor: Int32) throws(Errno) -> ByteBuffer? {
        var buffer = ByteBufferAllocator().buffer(capacity: pieceSize)
        var failure: Errno?
        // unsafe: the buffer lends its room for the call.
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: pieceSize) { room in
            do throws(Errno) {
                return try unsafe Files.readSome(descriptor, into: room)
            } catch {
                failure = error
                return 0
            }
        }
        if failure == .wouldBlock || failure == .interrupted { return nil }
        if let failure { throw failure }
        return buffer
    }

    /// Writes what the descriptor takes now.
    mutating func write(to descriptor: Int32) throws(Errno) {
        while var first = buffers.first {
            var failure: Errno?
            // unsafe: the buffer lends its bytes for the call.
            let done = unsafe first.readWithUnsafeReadableBytes { bytes in
                do throws(Errno) {
                    return try unsafe Files.writeSome(descriptor, from: bytes)
                } catch {
                    failure = error
                    return 0
                }
            }
            if failure == .wouldBlock { return }
            if let failure { throw failure }
            count -= done
            if first.readableBytes > 0 {
                buffers[buffers.startIndex] = first
            } else {
                buffers.removeFirst()
            }
        }
    }

    /// Takes the first bytes; nil where there are not that many.
    mutating func take(_ wanted: Int) -> [UInt8]? {
        guard count >= wanted else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < wanted, var first = buffers.first {
            bytes += first.readBytes(length: min(wanted - bytes.count, first.readableBytes)) ?? []
            if first.readableBytes > 0 {
                buffers[buffers.startIndex] = first
            } else {
                buffers.removeFirst()
            }
        }
        count -= wanted
        return bytes
    }
}
