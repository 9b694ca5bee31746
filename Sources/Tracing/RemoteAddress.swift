/// An address in a controlled process. It is not a pointer: nothing here can follow it.
public struct RemoteAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var raw: UInt64
    public init(_ raw: UInt64) { self.raw = raw }

    public static func < (a: RemoteAddress, b: RemoteAddress) -> Bool { a.raw < b.raw }
    public static func + (a: RemoteAddress, offset: Int) -> RemoteAddress {
        RemoteAddress(a.raw &+ UInt64(bitPattern: Int64(offset)))
    }
    public var description: String { "0x" + String(raw, radix: 16) }
}
