import Diagnostics
import Images
import Linux
import Testing

@testable import Objects

/// What the supplement says of a tunnel device that a restore makes is not trusted: it sets up that device, and nothing else.
@Suite struct TunnelImageTests {
    /// 192.0.2.0/24 over device 7; the same over two devices, by an encapsulation, and over device 8.
    private static let (route, several, wrapped, other) = (
        "02180000fe0300010000000008000100c00002000800040007000000",
        "02180000fe0300010000000008000100c00002000c00090008000000070000000800040007000000",
        "02180000fe0300010000000008000100c0000200080004000700000008001600c0000201",
        "02180000fe0300010000000008000100c00002000800040008000000"
    )
    private static let address = "021800000700000008000200c6336401"

    private static func told(_ changes: JSON.Member...) -> JSON {
        var members: [JSON.Member] = [
            .init("index", 7), .init("type", 65534), .init("flags", 4305), .init("mtu", 1400), .init("queue", 500),
            .init("group", 0), .init("address", ""), .init("alias", ""), .init("addresses", [.string(address)]),
            .init("routes", [.string(route)]), .init("offload", 1),
        ]
        for change in changes {
            members.removeAll { $0.name == change.name }
            members.append(change)
        }
        return .object(members)
    }

    @Test func whatIsSound() throws {
        let image = try #require(TunnelImage(Self.told(.init("user", 5))))
        #expect(image.device.index == 7 && image.device.isUp && image.user == 5 && image.group == nil)
        #expect(TunnelImage(image.json) == image)
    }

    static let wrong: [JSON.Member] = [
        .init("index", 0), .init("index", 8), .init("type", 65536), .init("mtu", .null), .init("alias", "0"),
        .init("addresses", ["0218"]), .init("addresses", [.string(address.replacing("07000000", with: "08000000"))]),
        .init("routes", [.string(several)]), .init("routes", [.string(wrapped)]), .init("routes", [.string(other)]),
        .init("routes", ["02"]), .init("routes", [5]),
    ]

    @Test(arguments: wrong.indices)
    func whatIsNot(_ index: Int) { #expect(TunnelImage(Self.told(Self.wrong[index])) == nil) }

    static let files: [(String, JSON, Bool)] = [
        ("places", [[3, 4]], true), ("places", [[0, 4], [2, 5]], true), ("places", [[4, 4]], false),
        ("places", [[0, -1]], false), ("places", [[0]], false), ("count", 0, false), ("count", 100_000, false),
        ("descriptor", "x", false),
    ]

    @Test(arguments: files.indices)
    func registeredFiles(_ index: Int) {
        let (name, value, isSound) = Self.files[index]
        var members: [JSON.Member] = [
            .init("process", 1), .init("descriptor", 3), .init("count", 4), .init("places", []),
        ]
        members.removeAll { $0.name == name }
        members.append(.init(name, value))
        #expect((RegisteredFiles(.object([.init("files", .object(members))])) != nil) == isSound)
    }
}
