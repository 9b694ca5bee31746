import Diagnostics
import Images
import Linux
import Testing

@testable import Objects

/// Tile registers go from an area of XSAVE through the supplement into another one.
@Suite("Tile registers")
struct TileRegistersTests {
    private static let layout = ExtendedStateLayout(
        features: 7, size: 832, places: [.ymmUpper: 576..<832],
        tiles: .init(configuration: 2752..<2816, data: 2816..<11008))

    /// - Parameter used: of XSTATE_BV.
    private func area(_ used: UInt8) -> [UInt8] {
        var area = (0..<11008).map { UInt8(truncatingIfNeeded: $0 / 7) }
        area.replaceSubrange(512..<520, with: [7, 0, used << 1, 0, 0, 0, 0, 0])
        return area
    }

    @Test(arguments: [1, 2, 3] as [UInt8])
    func theyGoAndComeBack(_ used: UInt8) throws {
        let area = area(used)
        var settings = ThreadSettings()
        settings.tiles = TileRegisters(area, layout: Self.layout)
        #expect(settings.tiles != nil)
        let tiles = try #require(ThreadSettings(settings.json).tiles)
        #expect(tiles == settings.tiles)
        var other = Array(area.prefix(832))
        other[514] = 0
        #expect(tiles.add(to: &other, Self.layout))
        #expect(other.count == 11008 && other[512] == 7 && other[514] == (used | 1) << 1)
        #expect(
            used & 1 == 0
                ? other[2752..<2816].allSatisfy { $0 == 0 } : other[2752..<2816] == area[2752..<2816])
        #expect(
            used & 2 == 0
                ? other[2816...].allSatisfy { $0 == 0 } : other[2816...] == area[2816...])
    }

    @Test func whatIsNotInUseIsNotThere() {
        #expect(TileRegisters(area(0), layout: Self.layout) == nil)
        #expect(TileRegisters([UInt8](repeating: 0xff, count: 512), layout: Self.layout) == nil)
        // Cut short, as of a thread that has no permission.
        #expect(TileRegisters(Array(area(3).prefix(2696)), layout: Self.layout) == nil)
    }

    @Test func aProcessorWithoutThem() throws {
        let none = ExtendedStateLayout(features: 7, size: 832, places: [.ymmUpper: 576..<832])
        let tiles = try #require(TileRegisters(area(3), layout: Self.layout))
        var other = [UInt8](repeating: 0, count: 832)
        #expect(!tiles.add(to: &other, none) && other.count == 832)
        #expect(TileRegisters(area(3), layout: none) == nil)
    }

    /// The images of CRIU have no place for them, and must not speak of them.
    @Test func theCoreImageDoesNotNameThem() {
        #expect(ExtendedState.message(area(3), layout: Self.layout).xsave.xstateBv == 7)
    }

    @Test func whatIsNoneInTheSupplement() {
        for text in ["0", "zz", ""] {
            let json: JSON = ["tiles": ["configuration": .string(text), "data": "00"]]
            var area = [UInt8](repeating: 0, count: 832)
            #expect(ThreadSettings(json).tiles?.add(to: &area, Self.layout) ?? false == false)
        }
    }
}
