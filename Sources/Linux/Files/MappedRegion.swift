internal import CLinux
internal import Glibc
public import SystemPackage

/// A shared mapping of a file into this process, unmapped when its owner lets go of it.
public struct MappedRegion: ~Copyable {
    private let address: UInt
    /// In bytes.
    public let count: Int

    /// mmap(2), MAP_SHARED.
    ///
    /// - Parameters:
    ///   - descriptor: the file; it may be closed afterwards.
    ///   - offset: where the mapping starts in the file, in bytes; a multiple of the page size.
    ///   - count: the length in bytes, not 0.
    ///   - writable: whether the memory may be written.
    public init(of descriptor: Int32, offset: UInt64 = 0, count: Int, writable: Bool = true) throws(Errno) {
        let protection = UInt(writable ? PROT_READ | PROT_WRITE : PROT_READ)
        let address = try call(
            Int(SYS_mmap), 0, UInt(count), protection, UInt(MAP_SHARED), UInt(signed: descriptor), UInt(offset))
        self.address = UInt(bitPattern: address)
        self.count = count
    }

    deinit {
        _ = outcome(of: Int(SYS_munmap), address, UInt(count))
    }

    /// The memory, while the closure runs. The file's other users see every store and may change it at any time.
    @unsafe public func withBytes<R, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        // The mapping has `count` bytes at `address` as long as this value lives.
        try unsafe body(
            UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: address), count: count))
    }

    /// The address of a place in this process's memory, for a process that has a copy of it.
    public func address(of offset: Int) -> UInt {
        precondition(offset >= 0 && offset < count, "outside of the mapping")
        return address + UInt(offset)
    }

    /// Copies bytes out.
    ///
    /// - Precondition: the range lies within the mapping.
    public func bytes(in range: Range<Int>) -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "outside of the mapping")
        // The range was checked against the mapping.
        return unsafe withBytes { unsafe Array($0[range]) }
    }

    /// Copies bytes in.
    ///
    /// - Precondition: they fit.
    public func store(_ bytes: [UInt8], at offset: Int) {
        precondition(offset >= 0 && offset <= count && bytes.count <= count - offset, "outside of the mapping")
        unsafe withBytes { memory in
            // The range was checked against the mapping.
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: bytes)
        }
    }

    /// Reads one value at a naturally aligned offset.
    ///
    /// - Precondition: it lies within the mapping.
    public func load<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value {
        precondition(offset >= 0 && offset <= count - MemoryLayout<Value>.size, "outside of the mapping")
        // The offset was checked; any bits are a value of an integer type.
        return unsafe withBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }

    /// Writes one value.
    ///
    /// - Precondition: it lies within the mapping.
    public func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        precondition(offset >= 0 && offset <= count - MemoryLayout<Value>.size, "outside of the mapping")
        // The offset was checked.
        unsafe withBytes { unsafe $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }
}
