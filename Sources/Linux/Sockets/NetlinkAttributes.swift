/// The attributes of messages of netlink (struct nlattr, netlink(7)): a length, a type, a value, filled up to whole words.
enum NetlinkAttributes {
    /// Walks over attributes, until one that cannot be.
    ///
    /// - Parameter take: is given the type, without its flags, and the value.
    static func each(in attributes: ArraySlice<UInt8>, _ take: (_ type: UInt16, _ value: ArraySlice<UInt8>) -> Void) {
        // NLA_TYPE_MASK.
        let mask: UInt16 = 0x3fff
        var rest = attributes
        while rest.count >= 4 {
            let length = Int(rest.integer(at: 0, of: UInt16.self))
            guard length >= 4, length <= rest.count else { return }
            take(rest.integer(at: 2, of: UInt16.self) & mask, rest.dropFirst(4).prefix(length - 4))
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    /// One attribute.
    static func bytes(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
        var all: [UInt8] = []
        all.append(integer: UInt16(4 + value.count))
        all.append(integer: type)
        all += value
        return all + [UInt8](repeating: 0, count: -value.count & 3)
    }
}
