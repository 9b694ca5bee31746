internal import CTrampoline
internal import Linux
internal import SystemPackage

/// This kernel's vdso for 32-bit programs.
public enum CompatVdso {
    /// Its bytes, whole pages; nil where this kernel runs no 32-bit programs.
    ///
    /// - Parameters:
    ///   - own: where Apus itself has the mappings of the vdso, data and code.
    ///   - dataLength: how many bytes of these are data.
    public static func bytes(own: Range<UInt64>, dataLength: UInt64) -> [UInt8]? {
        guard let file = try? Files.memory(named: "apus-vdso", flags: MemoryFileFlag.closeOnExec) else { return nil }
        let start = unsafe UnsafeMutableRawPointer(bitPattern: UInt(own.lowerBound))
        // The address is used by a child of its own, as the range that it gives up.
        let length = unsafe apus_write_compat_vdso(file.raw, start, own.count, Int(dataLength))
        return length > 0 ? try? Files.read(file.raw, count: length, at: 0) : nil
    }
}
