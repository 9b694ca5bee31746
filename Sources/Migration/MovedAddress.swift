internal import Diagnostics
internal import Linux

/// An address of IP that moves to the other host with the tree (`--move-address`).
public struct MovedAddress: Sendable, Equatable {
    /// 4 or 16 bytes.
    let bytes: [UInt8]
    /// Of its network, at the destination; nil for what it is here.
    let length: UInt8?
    /// The network devices, here and there.
    let device, deviceThere: String

    /// - Returns: nil where the text is not `ADDRESS[/LENGTH]@DEVICE[:DEVICE-THERE]`, and for addresses that belong to a host or to
    ///   a link and not to who moves.
    public init?(_ text: String) {
        let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let parts = halves[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = DeviceAddress.parse(String(parts[0])), Self.isMovable(bytes) else { return nil }
        var length: UInt8?
        if parts.count == 2 {
            guard let number = UInt8(parts[1]), number > 0, Int(number) <= 8 * bytes.count else { return nil }
            length = number
        }
        // A device has no colon in its name.
        let devices = halves[1].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard devices.count <= 2, devices.allSatisfy(Self.isDevice) else { return nil }
        self.bytes = bytes
        self.length = length
        device = devices[0]
        deviceThere = devices[devices.count - 1]
    }

    private static func isDevice(_ name: String) -> Bool {
        Sockets.isInterfaceName(name) && name != "lo" && !name.contains("/")
    }

    /// Neither unspecified, loopback, multicast, nor link-local (RFC 6890, RFC 4291).
    private static func isMovable(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 4 { return bytes[0] != 0 && bytes[0] != 127 && bytes[0] < 224 }
        let isLinkLocal = bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
        return bytes[0] != 0xff && !isLinkLocal && !bytes.prefix(15).allSatisfy { $0 == 0 }
    }
}

extension Problem.Code {
    /// An address cannot be moved from one host to the other.
    static let addressUnmovable: Self = "address-unmovable"
}
