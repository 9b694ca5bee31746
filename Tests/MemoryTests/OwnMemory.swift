import CLinux
import Glibc
import Linux
import SystemPackage

/// Private memory of this process, in small pages, which goes away with it.
final class OwnMemory {
    let range: Range<UInt64>
    private let file: OwnedDescriptor
    private let size: UInt

    init(pages: Int) throws {
        size = UInt(pages) * 4096
        let base = UInt(bitPattern: try call(Int(SYS_mmap), 0, size, 3, 0x22, UInt(signed: -1), 0))
        range = UInt64(base)..<UInt64(base + size)
        file = try Files.open("/proc/self/mem", .readWrite)
        // No huge pages: the kernel gives a whole one where one page is touched.
        _ = try call(Int(SYS_madvise), base, size, 15)
    }

    deinit { _ = try? call(Int(SYS_munmap), UInt(range.lowerBound), size) }

    func address(_ page: Int) -> UInt64 { range.lowerBound + UInt64(page) * 4096 }

    /// Writes to pages.
    func touch(_ pages: some Sequence<Int>) throws {
        for page in pages { try Files.write(file.raw, [1], at: address(page)) }
    }

    /// Reads pages, which gives those that are absent the page of zeros.
    func read(_ pages: some Sequence<Int>) throws {
        for page in pages { _ = try Files.read(file.raw, count: 1, at: address(page)) }
    }

    /// The numbers of the pages in ranges.
    func pages(in ranges: [Range<UInt64>]) -> [Int] {
        ranges.flatMap { stride(from: $0.lowerBound, to: $0.upperBound, by: 4096) }.map {
            Int(($0 - range.lowerBound) / 4096)
        }
    }
}
