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
}
