public import SystemPackage

/// How the running kernel lays out its structures, as it says itself: BTF (Documentation/bpf/btf.rst), which kernels with
/// CONFIG_DEBUG_INFO_BTF have in `/sys/kernel/btf/vmlinux`.
public struct KernelTypes: Sendable {
    private let bytes: [UInt8]
    /// Where the description of each type begins, by its number; 0 is void.
    private var places: [Int] = [0]
    private var structures: [String: Int] = [:]
    private let strings: Range<Int>

    /// The numbers of the kinds of types.
    private enum Kind {
        static let (array, structure, union, typedef, volatile, const, restrict):
            (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) =
                (3, 4, 5, 8, 9, 10, 11)
        static let typeTag: UInt32 = 18
        /// What passes for another type: names, qualifiers, marks.
        static let transparent = [typedef, volatile, const, restrict, typeTag]
    }

    /// A member of a structure.
    private struct Member {
        /// In bits.
        var offset: Int
        /// In bits; 0 for one that is no part of a byte.
        var width: Int
        var type: Int
    }

    /// Reads the types of the running kernel.
    ///
    /// - Throws: ENOENT where it does not tell of them; EBADMSG where it tells what makes no sense.
    public static func running() throws(Errno) -> KernelTypes {
        guard let types = KernelTypes(try Files.contents(of: "/sys/kernel/btf/vmlinux")) else { throw .badMessage }
        return types
    }

    /// - Returns: nil where the bytes are no BTF.
    init?(_ bytes: [UInt8]) {
        // struct btf_header: magic, version, flags, length of the header; offset and length of types and of strings.
        let header = bytes[...]
        guard bytes.count >= 24, header.integer(at: 0, of: UInt16.self) == 0xeb9f else { return nil }
        let words = (0..<5).map { Int(header.integer(at: 4 + 4 * $0, of: UInt32.self)) }
        let (types, end) = (words[0] + words[1], words[0] + words[1] + words[2])
        strings = words[0] + words[3]..<words[0] + words[3] + words[4]
        guard end <= bytes.count, strings.upperBound <= bytes.count else { return nil }
        self.bytes = bytes
        var place = types
        while place + 12 <= end {
            let info = word(place + 4)
            let (kind, count) = (info >> 24 & 0x1f, Int(info & 0xffff))
            guard let size = Self.size(ofKind: kind, count) else { return nil }
            if kind == Kind.structure || kind == Kind.union {
                structures[text(word(place)), default: places.count] = places.count
            }
            places.append(place)
            place += 12 + size
        }
    }

    /// What follows struct btf_type, in bytes; nil for kinds that came later.
    private static func size(ofKind kind: UInt32, _ count: Int) -> Int? {
        switch kind {
        case 2, 7...12, 16, 18: 0
        case 1, 14, 17: 4
        case 3: 12
        case 4, 5, 15, 19: 12 * count
        case 6, 13: 8 * count
        default: nil
        }
    }

    private func word(_ place: Int) -> UInt32 {
        UInt32(bytes[place]) | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2]) << 16
            | UInt32(bytes[place + 3]) << 24
    }

    private func text(_ offset: UInt32) -> String {
        let start = strings.lowerBound + Int(offset)
        guard strings.contains(start) else { return "" }
        return String(decoding: bytes[start..<strings.upperBound].prefix { $0 != 0 }, as: UTF8.self)
    }

    // MARK: Questions

    /// The size of a structure or union in bytes; nil where the kernel has none of that name.
    public func size(of structure: String) -> Int? { structures[structure].map { Int(word(places[$0] + 8)) } }

    /// Where a member of a structure lies; nil where there is none.
    ///
    /// - Parameter path: names of members with dots between them; those of nameless structures count as those of the one
    ///   around them.
    public func offset(of path: String, in structure: String) -> Int? {
        bits(of: path, in: structure).map { $0.offset / 8 }
    }

    /// The same of a member that is a few bits: where they begin, and how many they are, in bits; of others 0.
    func bits(of path: String, in structure: String) -> (offset: Int, width: Int)? {
        guard var type = structures[structure] else { return nil }
        var (offset, width) = (0, 0)
        for name in path.split(separator: ".") {
            guard let member = member(String(name), of: type) else { return nil }
            (offset, width, type) = (offset + member.offset, member.width, member.type)
        }
        return (offset, width)
    }

    private func member(_ name: String, of type: Int) -> Member? {
        let type = resolved(type)
        let info = word(places[type] + 4)
        let (kind, hasBitFields) = (info >> 24 & 0x1f, info >> 31 == 1)
        guard kind == Kind.structure || kind == Kind.union else { return nil }
        for index in 0..<Int(info & 0xffff) {
            let place = places[type] + 12 + 12 * index
            // With bit fields the upper byte is how many bits it has.
            let bits = word(place + 8)
            let found = Member(
                offset: Int(hasBitFields ? bits & 0xff_ffff : bits), width: hasBitFields ? Int(bits >> 24) : 0,
                type: Int(word(place + 4)))
            guard places.indices.contains(found.type) else { return nil }
            let own = text(word(place))
            if own == name { return found }
            if own.isEmpty, found.type != 0, var inner = member(name, of: found.type) {
                inner.offset += found.offset
                return inner
            }
        }
        return nil
    }

    private func resolved(_ type: Int) -> Int {
        var type = type
        // No chain of names is as long as that.
        for _ in 0..<32 {
            let place = places[type]
            guard type != 0, Kind.transparent.contains(word(place + 4) >> 24 & 0x1f) else { break }
            let next = Int(word(place + 8))
            guard places.indices.contains(next) else { return 0 }
            type = next
        }
        return type
    }
}
