internal import Diagnostics
internal import Images
public import Linux
internal import Tracing

/// The tile registers of a thread (AMX), for which the images of CRIU have no place.
public struct TileRegisters: Sendable, Equatable {
    /// What LDTILECFG takes (Intel SDM, volume 1, chapter 18): 64 bytes.
    public var configuration: [UInt8]
    /// Eight registers of 16 rows of 64 bytes. Empty where all are as they begin, with zeros.
    public var data: [UInt8]

    private static let (configured, filled): (UInt64, UInt64) = (1 << 17, 1 << 18)

    /// Those in an area of XSAVE in the standard format.
    ///
    /// - Returns: nil where they are not in use.
    public init?(_ area: [UInt8], layout: ExtendedStateLayout = .current) {
        guard area.count >= ExtendedStateLayout.smallestSize, let tiles = layout.tiles else { return nil }
        let used = area.littleEndian(UInt64.self, at: ExtendedState.headerOffset) & ExtendedStateLayout.Tiles.features
        guard used != 0, tiles.configuration.upperBound <= area.count, tiles.data.upperBound <= area.count else {
            return nil
        }
        configuration =
            used & Self.configured == 0 ? [UInt8](repeating: 0, count: 64) : Array(area[tiles.configuration])
        data = used & Self.filled == 0 ? [] : Array(area[tiles.data])
    }

    /// Adds them to an area that has all else.
    ///
    /// - Returns: false where this processor has none, or others.
    public func add(to area: inout [UInt8], _ layout: ExtendedStateLayout = .current) -> Bool {
        guard let tiles = layout.tiles, tiles.configuration.count == configuration.count,
            data.isEmpty || tiles.data.count == data.count
        else { return false }
        let end = max(tiles.configuration.upperBound, tiles.data.upperBound)
        if area.count < end { area += [UInt8](repeating: 0, count: end - area.count) }
        var used = area.littleEndian(UInt64.self, at: ExtendedState.headerOffset) | Self.configured
        area.replaceSubrange(tiles.configuration, with: configuration)
        if !data.isEmpty {
            area.replaceSubrange(tiles.data, with: data)
            used |= Self.filled
        }
        var word: [UInt8] = []
        word.append(littleEndian: used)
        area.replaceSubrange(ExtendedState.headerOffset..<ExtendedState.headerOffset + 8, with: word)
        return true
    }

    /// A configuration with the smallest tile 0: of palette 1, one row of four bytes.
    public static let smallest: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: 64)
        let (palette, widths, heights) = (0, 16, 48)
        (bytes[palette], bytes[widths], bytes[heights]) = (1, 4, 1)
        return bytes
    }()

    // MARK: The supplement

    var json: JSON {
        ["configuration": .string(Hexadecimal.text(configuration)), "data": .string(Hexadecimal.text(data))]
    }

    /// - Returns: nil where the document is none.
    init?(_ json: JSON) {
        guard let configuration = json["configuration"]?.string.flatMap(Hexadecimal.bytes),
            let data = json["data"]?.string.flatMap(Hexadecimal.bytes)
        else { return nil }
        (self.configuration, self.data) = (configuration, data)
    }
}
