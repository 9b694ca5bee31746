internal import Images
internal import Tracing

/// A range of addresses that is free in every task's final layout.
enum AddressHole {
    private static let highest: UInt64 = 0x7fff_0000_0000
    /// Where the search begins, above what programs at fixed low addresses use.
    private static let preferred: UInt64 = 0x1000_0000

    /// The lowest hole of a size, with a margin around it.
    static func find(of size: UInt64, outside vmas: [VmaEntry], from lowest: UInt64) -> RemoteAddress? {
        let margin: UInt64 = 0x10000
        var candidate = max(lowest, preferred)
        for vma in vmas.sorted(by: { $0.start < $1.start }) {
            if vma.end + margin <= candidate { continue }
            if vma.start >= margin, candidate + size + margin <= vma.start { break }
            candidate = (vma.end + margin + 0xffff) & ~0xffff
        }
        return candidate + size < highest ? RemoteAddress(candidate) : nil
    }

    /// A hole of a size for what stays with the program: as high as there is one, and where neither the stack nor the
    /// heap grows.
    ///
    /// - Parameter range: one more range that is not free.
    static func high(
        of size: UInt64, outside vmas: [VmaEntry], and range: Range<UInt64>, below limit: UInt64 = userSpaceEnd
    ) -> RemoteAddress? {
        let margin: UInt64 = 0x10000
        // As much as the kernel itself leaves below a stack at the least (arch/x86/mm/mmap.c); a heap may grow far.
        let (stackRoom, heapRoom): (UInt64, UInt64) = (128 << 20, min(1 << 40, limit / 8))
        var taken = vmas.filter { !$0.kind.contains(.vsyscall) }.map { vma in
            let grows = vma.flags & 0x100 != 0  // MAP_GROWSDOWN
            return (
                start: vma.start - min(vma.start, grows ? stackRoom : margin),
                end: vma.end + (vma.kind.contains(.heap) ? heapRoom : margin)
            )
        }
        taken.append((range.lowerBound - min(range.lowerBound, margin), range.upperBound + margin))
        var top = limit
        for (start, end) in taken.sorted(by: { $0.end > $1.end }) {
            let candidate = (end + 0xfff) & ~0xfff
            if candidate < top, top - candidate >= size { return RemoteAddress(candidate) }
            top = min(top, start)
        }
        return nil
    }

    /// The end of user space with four levels of page tables.
    static let userSpaceEnd: UInt64 = 0x7fff_ffff_f000
}
