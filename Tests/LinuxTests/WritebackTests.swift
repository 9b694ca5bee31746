import CLinux
import Glibc
import SystemPackage
import Testing

@testable import Linux

@Suite("Writing behind the one who writes", .timeLimit(.minutes(1))) struct WritebackTests {
    /// How many pages of a file have yet to reach the disk (cachestat(2), since Linux 6.5); nil where the kernel does not say.
    private static func unwritten(_ file: Int32) -> UInt64? {
        let range: [UInt64] = [0, 0]
        // nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted
        var found = [UInt64](repeating: 0, count: 5)
        let result = unsafe range.withUnsafeBytes { range in
            unsafe found.withUnsafeMutableBytes { found in
                let (from, to) = (UInt(bitPattern: range.baseAddress), UInt(bitPattern: found.baseAddress))
                return apus_syscall(451, UInt(file), from, to, 0, 0, 0)
            }
        }
        return result == 0 ? found[1] + found[2] : nil
    }

    private static func makeFile() throws -> OwnedDescriptor {
        // A file without a name, of a file system that has a disk (O_TMPFILE of open(2)).
        let temporary: Int32 = 0o20_000_000 | O_DIRECTORY
        return OwnedDescriptor(owning: try #require(Self.open("/var/tmp", temporary | O_RDWR)))
    }

    private static func open(_ path: String, _ flags: Int32) -> Int32? {
        let file = unsafe Glibc.open(path, flags, 0o600)
        return file < 0 ? nil : file
    }

    /// Whether pages stay unwritten for a while where nobody asks for anything else: not where the file system has no disk.
    private static let canTell: Bool = {
        guard let file = try? makeFile(), (try? fill(file, 0..<1)) != nil else { return false }
        return unwritten(file.raw).map { $0 > 0 } ?? false
    }()

    /// Fills mebibytes of a file.
    private static func fill(_ file: borrowing OwnedDescriptor, _ part: Range<Int>) throws {
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        for number in part { try Files.write(file.raw, piece, at: UInt64(number) << 20) }
    }

    /// The kernel by itself begins after 30 seconds (dirty_expire_centisecs).
    @Test(.enabled(if: canTell, "needs /var/tmp on a disk, and cachestat(2)"))
    func theDiskBeginsMeanwhile() throws {
        let file = try Self.makeFile()
        let writeback = Writeback(of: file.raw)
        try Self.fill(file, 0..<20)
        writeback.isFilled(to: 20 << 20)
        var left: UInt64 = 1
        for _ in 0..<100 where left > 0 {
            usleep(50_000)
            left = try #require(Self.unwritten(file.raw))
        }
        #expect(left == 0)
    }

    /// What it works on may be closed before it: it has its own.
    @Test func endsWithWhoeverHasIt() throws {
        for size: UInt64 in [0, 1 << 20, 64 << 20] {
            let file = try Self.makeFile()
            let writeback = Writeback(of: file.raw)
            for end in stride(from: UInt64(0), through: size, by: 1 << 20) { writeback.isFilled(to: end) }
            _ = consume file
            _ = consume writeback
        }
    }
}
