internal import CLinux
public import SystemPackage

/// Reading and writing. The plain forms are complete: they end at the count asked for, at the end of the file, or
/// with an error. Those named `Some` make one call.
extension Files {
    /// read(2) or, with an offset, pread(2), once, into memory of the caller.
    ///
    /// - Returns: the bytes read; 0 at the end of the file.
    @unsafe public static func readSome(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64? = nil,
        retrying: Bool = true
    ) throws(Errno) -> Int {
        // The address is used by one call that fills at most `count` bytes, while the caller lends the buffer.
        let address = UInt(bitPattern: buffer.baseAddress)
        let count = UInt(buffer.count)
        let descriptor = UInt(signed: descriptor)
        guard let offset else {
            return try call(Int(SYS_read), descriptor, address, count, retrying: retrying)
        }
        return try call(Int(SYS_pread64), descriptor, address, count, UInt(offset), retrying: retrying)
    }

    /// Reads until the buffer is full or the file ends.
    ///
    /// - Returns: the bytes read: less than the buffer holds only at the end of the file.
    @unsafe public static func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64? = nil
    ) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            // `done` never exceeds the count, so the rest stays within the caller's buffer.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let got = try unsafe readSome(descriptor, into: rest, at: offset.map { $0 + UInt64(done) })
            if got == 0 { break }
            done += got
        }
        return done
    }

    /// Reads `count` bytes, or fewer where the file ends before.
    public static func read(_ descriptor: Int32, count: Int, at offset: UInt64? = nil) throws(Errno) -> [UInt8] {
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(Errno) {
                // The kernel initialises exactly as many bytes as it reports.
                initialized = try unsafe read(descriptor, into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Makes one read(2) of at most `count` bytes: what a pipe, a terminal or a socket has now.
    public static func readSome(
        _ descriptor: Int32, atMost count: Int, retrying: Bool = true
    ) throws(Errno) -> [UInt8] {
        try bytes(filledBy: count) { address in
            outcome(of: Int(SYS_read), UInt(signed: descriptor), address, UInt(count), retrying: retrying)
        }
    }

    /// Reads from the position of the descriptor to the end of the file, whose size need not be known: `/proc`.
    ///
    /// - Throws: EFBIG when there is more than `limit` bytes, and the errors of read(2).
    public static func readAll(_ descriptor: Int32, limit: Int = 256 << 20) throws(Errno) -> [UInt8] {
        var bytes = try readSome(descriptor, atMost: 16 << 10)
        var last = bytes.count
        while last > 0 {
            let more = try readSome(descriptor, atMost: 64 << 10)
            last = more.count
            bytes += more
            if bytes.count > limit { throw .fileTooLarge }
        }
        return bytes
    }

    /// The whole content of a small file: one of `/proc`, a configuration file.
    public static func contents(of path: FilePath, at directory: Int32 = workingDirectory) throws(Errno) -> [UInt8] {
        let file = try open(path, .readOnly, at: directory)
        return try readAll(file.raw)
    }

    /// Writes all bytes, at the descriptor's position or at `offset`.
    public static func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64? = nil) throws(Errno) {
        let result = unsafe bytes.withUnsafeBytes { buffer -> Result<Void, Errno> in
            do throws(Errno) {
                // The buffer is read while the array lends it.
                return .success(try unsafe write(descriptor, from: buffer, at: offset))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Writes the whole buffer, at the descriptor's position or at `offset`.
    @unsafe public static func write(
        _ descriptor: Int32, from buffer: UnsafeRawBufferPointer, at offset: UInt64? = nil
    ) throws(Errno) {
        var done = 0
        while done < buffer.count {
            // `done` is below the count, so the address is one within the caller's buffer.
            let address = UInt(bitPattern: buffer.baseAddress) + UInt(done)
            let count = UInt(buffer.count - done)
            if let offset {
                done += try call(
                    Int(SYS_pwrite64), UInt(signed: descriptor), address, count, UInt(offset) + UInt(done))
            } else {
                done += try call(Int(SYS_write), UInt(signed: descriptor), address, count)
            }
        }
    }

    /// write(2), once.
    ///
    /// - Returns: how many bytes of the buffer were taken.
    @unsafe public static func writeSome(_ descriptor: Int32, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int
    {
        // The address is used by one call that reads at most `count` bytes, while the caller lends the buffer.
        try call(Int(SYS_write), UInt(signed: descriptor), UInt(bitPattern: buffer.baseAddress), UInt(buffer.count))
    }

    /// Reads into several pieces of the caller's memory, until all are full or the file ends.
    ///
    /// - Returns: the bytes read in all.
    @unsafe public static func read(
        _ descriptor: Int32, into pieces: [UnsafeMutableRawBufferPointer], at offset: UInt64
    ) throws(Errno) -> Int {
        var done = 0
        for index in unsafe pieces.indices {
            // Each piece is completed before the next; where the file ends, the rest stays as it was.
            let piece = unsafe pieces[index]
            let got = try unsafe read(descriptor, into: piece, at: offset + UInt64(done))
            done += got
            if got < piece.count { break }
        }
        return done
    }

    /// lseek(2).
    ///
    /// - Parameter whence: SEEK_SET 0, SEEK_CUR 1, SEEK_END 2, SEEK_DATA 3, SEEK_HOLE 4.
    /// - Returns: the new position, in bytes from the start.
    @discardableResult
    public static func seek(_ descriptor: Int32, to offset: Int64, whence: Int32 = 0) throws(Errno) -> UInt64 {
        let position = try call(
            Int(SYS_lseek), UInt(signed: descriptor), UInt(bitPattern: Int(offset)), UInt(signed: whence))
        return UInt64(position)
    }
}
