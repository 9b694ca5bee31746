/// The functions that a vdso exports (vdso(7)), read from its dynamic symbol table (elf(5)).
///
/// The bytes may come from images: nothing in them is trusted, and what leads outside of them ends the reading.
public struct VdsoFunctions: Sendable {
    /// One exported name.
    public struct Function: Hashable, Sendable {
        /// As it is exported: `__vdso_time`, or `time`, its weak alias.
        public var name: String
        /// Where its code begins, in bytes from the start of the vdso.
        public var offset: Int
        /// How long its code is, in bytes.
        public var size: Int

        /// What it does, by the name without the prefix that only one of two aliases has.
        public var purpose: String { name.hasPrefix("__vdso_") ? String(name.dropFirst(7)) : name }
    }

    /// By address, then by name.
    public let all: [Function]

    /// Where the code of each purpose begins.
    public var offsets: [String: Int] {
        Dictionary(all.map { ($0.purpose, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }

    /// - Parameter image: the bytes of the whole mapping.
    /// - Returns: nil where they are no ELF file with a dynamic symbol table that makes sense.
    public init?(image: [UInt8]) {
        guard let reader = ElfReader(image), let functions = reader.functions() else { return nil }
        all = functions.sorted { ($0.offset, $0.name) < ($1.offset, $1.name) }
    }
}

/// Reads an ELF file of either word size as the dynamic linker does, by its program headers.
private struct ElfReader {
    private static let (load, dynamic): (UInt64, UInt64) = (1, 2)
    private static let (hash, strings, symbols, stringsSize, gnuHash): (UInt64, UInt64, UInt64, UInt64, UInt64) =
        (4, 5, 6, 10, 0x6fff_fef5)
    private static let functionType: UInt64 = 2
    /// The kernel's own have twenty at most.
    private static let mostSymbols: UInt64 = 4096

    private let image: [UInt8]
    /// ELFCLASS64.
    private let isWide: Bool

    init?(_ image: [UInt8]) {
        guard image.count >= 64, Array(image[0..<4]) == [0x7f, 0x45, 0x4c, 0x46], image[5] == 1,
            image[4] == 1 || image[4] == 2
        else { return nil }
        self.image = image
        isWide = image[4] == 2
    }

    /// An unsigned number of so many bytes.
    private func number(_ offset: UInt64, _ size: Int) -> UInt64? {
        guard offset <= UInt64(image.count), UInt64(image.count) - offset >= UInt64(size) else { return nil }
        return (0..<size).reversed().reduce(0) { $0 << 8 | UInt64(image[Int(offset) + $1]) }
    }

    /// A number as wide as an address.
    private func word(_ offset: UInt64) -> UInt64? { number(offset, isWide ? 8 : 4) }

    private struct Segment {
        var type, offset, address: UInt64
    }

    private func segments() -> [Segment]? {
        guard let start = word(isWide ? 0x20 : 0x1c), let size = number(isWide ? 0x36 : 0x2a, 2),
            let count = number(isWide ? 0x38 : 0x2c, 2), start < UInt64(image.count)
        else { return nil }
        var found: [Segment] = []
        for index in 0..<count {
            let entry = start + index * size
            guard let type = number(entry, 4), let offset = word(entry + (isWide ? 8 : 4)),
                let address = word(entry + (isWide ? 16 : 8))
            else { return nil }
            found.append(Segment(type: type, offset: offset, address: address))
        }
        return found
    }

    /// The exported functions; nil where the file does not hold together.
    func functions() -> [VdsoFunctions.Function]? {
        guard let segments = segments(), let load = segments.first(where: { $0.type == Self.load }),
            let dynamic = segments.first(where: { $0.type == Self.dynamic })
        else { return nil }
        let base = load.address &- load.offset
        var tags: [UInt64: UInt64] = [:]
        var place = dynamic.offset
        while let tag = word(place), let value = word(place + (isWide ? 8 : 4)), tag != 0 {
            if tags[tag] == nil { tags[tag] = value }
            place += isWide ? 16 : 8
        }
        guard let symbols = tags[Self.symbols], let strings = tags[Self.strings], let size = tags[Self.stringsSize],
            let count = symbolCount(tags, base), count <= Self.mostSymbols
        else { return nil }
        var found: [VdsoFunctions.Function] = []
        for index in 0..<count {
            let entry = (symbols &- base) &+ index * (isWide ? 24 : 16)
            guard let name = number(entry, 4), let info = number(entry &+ (isWide ? 4 : 12), 1),
                let section = number(entry &+ (isWide ? 6 : 14), 2), let value = word(entry &+ (isWide ? 8 : 4)),
                let length = word(entry &+ (isWide ? 16 : 8))
            else { return nil }
            guard info & 0xf == Self.functionType, section != 0 else { continue }
            let offset = value &- base
            guard offset < UInt64(image.count), length <= UInt64(image.count) - offset, name < size,
                let text = text(strings &- base &+ name)
            else { return nil }
            found.append(.init(name: text, offset: Int(offset), size: Int(length)))
        }
        return found
    }

    /// How many entries the symbol table has: only the tables for look-ups tell.
    private func symbolCount(_ tags: [UInt64: UInt64], _ base: UInt64) -> UInt64? {
        if let hash = tags[Self.hash] { return number((hash &- base) &+ 4, 4) }
        guard let table = tags[Self.gnuHash].map({ $0 &- base }), let buckets = number(table, 4),
            let first = number(table &+ 4, 4), let filter = number(table &+ 8, 4), buckets <= Self.mostSymbols,
            filter <= Self.mostSymbols
        else { return nil }
        let bucketsStart = table &+ 16 &+ filter * (isWide ? 8 : 4)
        var last: UInt64 = 0
        for index in 0..<buckets {
            guard let bucket = number(bucketsStart &+ index * 4, 4) else { return nil }
            last = max(last, bucket)
        }
        guard last >= first else { return first }
        // A chain ends with a hash whose lowest bit is set.
        let chains = bucketsStart &+ buckets * 4
        while last <= Self.mostSymbols {
            guard let hash = number(chains &+ (last - first) * 4, 4) else { return nil }
            last += 1
            if hash & 1 == 1 { return last }
        }
        return nil
    }

    private func text(_ offset: UInt64) -> String? {
        guard offset < UInt64(image.count) else { return nil }
        let rest = image[Int(offset)...]
        guard let end = rest.firstIndex(of: 0) else { return nil }
        return String(decoding: rest[..<end], as: UTF8.self)
    }
}
