internal import Linux
internal import Tracing

/// What the dynamic loader of a program (ld.so(8)) tells debuggers of itself: `struct r_debug` of `<link.h>`, to which the
/// entry DT_DEBUG of the program's dynamic section leads. Both the GNU C library and musl keep it.
enum LoaderState: Equatable {
    /// It has said nothing yet. The program names so many libraries.
    case before(needed: Int)
    /// It is mapping or unmapping objects.
    case atWork
    /// All that the program needs is mapped.
    case consistent

    /// Types of auxiliary vectors (getauxval(3)).
    private static let (programHeaders, entrySize, entryCount, interpreterBase): (UInt64, UInt64, UInt64, UInt64) =
        (3, 4, 5, 7)
    /// Types of program headers (elf(5)).
    private static let (dynamic, headers): (UInt64, UInt64) = (2, 6)
    /// Entries of the dynamic section.
    private static let (needed, debug): (UInt64, UInt64) = (1, 21)
    /// What is said to be larger is nonsense.
    private static let (mostHeaders, largestDynamic): (UInt64, UInt64) = (64, 16 << 10)

    /// Looks into a process that stands still.
    ///
    /// - Returns: nil for a program without a loader, or whose loader tells nothing.
    static func of(_ pid: Int32) -> Self? {
        guard let words = try? ProcessDirectory(pid).auxiliaryVector(), let memory = try? ProcessMemory(pid: pid) else {
            return nil
        }
        // That of a 32-bit program has words of 32 bits.
        for (words, width) in [(words, 8), (words.flatMap { [$0 & 0xffff_ffff, $0 >> 32] }, 4)] {
            let reader = Reader(memory: memory, width: width)
            var values: [UInt64: UInt64] = [:]
            for index in stride(from: 0, to: words.count - 1, by: 2) where words[index] != 0 {
                values[words[index]] = words[index + 1]
            }
            if values[entrySize] == reader.headerSize { return reader.state(values) }
        }
        return nil
    }

    private struct Reader {
        /// process_vm_readv(2) would pin the pages, and with that take a copy of each that is shared copy-on-write.
        let memory: ProcessMemory
        /// Of an address, in bytes.
        let width: Int

        var headerSize: UInt64 { width == 8 ? 56 : 32 }

        /// The words at an address of the process, as wide as its addresses.
        private func words(at address: UInt64, bytes: UInt64) -> [UInt64]? {
            guard let bytes = try? memory.read(RemoteAddress(address), count: Int(bytes)) else { return nil }
            return stride(from: 0, to: bytes.count - width + 1, by: width).map { start in
                width == 8
                    ? bytes.littleEndian(UInt64.self, at: start) : UInt64(bytes.littleEndian(UInt32.self, at: start))
            }
        }

        func state(_ values: [UInt64: UInt64]) -> LoaderState? {
            guard let start = values[programHeaders], let count = values[entryCount], count <= mostHeaders,
                let base = values[interpreterBase], base != 0,
                let table = words(at: start, bytes: count * headerSize)
            else { return nil }
            var (bias, section): (UInt64, (address: UInt64, size: UInt64)?) = (0, nil)
            let wordsOfHeader = Int(headerSize) / width
            for index in 0..<Int(count) {
                let header = table[index * wordsOfHeader..<(index + 1) * wordsOfHeader]
                // The type shares a word with the flags in a wide one; the address is the third word either way.
                let (type, address) = (header[header.startIndex] & 0xffff_ffff, header[header.startIndex + 2])
                if type == headers { bias = start &- address }
                // The size in memory: the sixth word of both.
                if type == dynamic { section = (address, header[header.startIndex + 5]) }
            }
            guard let section, section.size <= largestDynamic,
                let entries = words(at: bias &+ section.address, bytes: section.size)
            else { return nil }
            let places = stride(from: 0, to: entries.count - 1, by: 2)
            guard let place = places.first(where: { entries[$0] == debug }) else { return nil }
            let address = entries[place + 1]
            return address == 0 ? .before(needed: places.count { entries[$0] == needed }) : state(at: address)
        }

        /// - Parameter address: of the structure: a version, the list of objects, a function, the state, each in a word.
        private func state(at address: UInt64) -> LoaderState? {
            guard let words = words(at: address, bytes: UInt64(4 * width)) else { return nil }
            // musl leads to it when all is mapped, and fills it in when all is bound.
            return words[3] & 0xffff_ffff == 0 ? .consistent : .atWork
        }
    }
}
