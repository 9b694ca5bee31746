public import Images
public import Linux
internal import Tracing

/// The extended state of a thread (x87, SSE, AVX, AVX-512, protection keys), between the area that XSAVE writes and
/// the message of the images.
public enum ExtendedState {
    /// Where the header of an area begins: with XSTATE_BV, the components that are in use.
    static let headerOffset = 512
    /// What a thread may do with keys when a program begins: with none but that of ordinary memory, key 0, anything.
    private static let usualRights: UInt32 = 0x5555_5554

    /// The message for an area in the standard format.
    public static func message(_ area: [UInt8], layout: ExtendedStateLayout = .current) -> UserX86FpregsEntry {
        var entry = UserX86FpregsEntry()
        entry.cwd = UInt32(area.littleEndian(UInt16.self, at: 0))
        entry.swd = UInt32(area.littleEndian(UInt16.self, at: 2))
        entry.twd = UInt32(area.littleEndian(UInt16.self, at: 4))
        entry.fop = UInt32(area.littleEndian(UInt16.self, at: 6))
        entry.rip = area.littleEndian(UInt64.self, at: 8)
        entry.rdp = area.littleEndian(UInt64.self, at: 16)
        entry.mxcsr = area.littleEndian(UInt32.self, at: 24)
        entry.mxcsrMask = area.littleEndian(UInt32.self, at: 28)
        entry.stSpace = words(area, 32..<160)
        entry.xmmSpace = words(area, 160..<416)
        guard area.count >= ExtendedStateLayout.smallestSize else { return entry }
        var xsave = UserX86XsaveEntry()
        // The tile registers have no place in the images: see TileRegisters.
        xsave.xstateBv = area.littleEndian(UInt64.self, at: headerOffset) & ~ExtendedStateLayout.Tiles.features
        for (component, place) in layout.places where place.upperBound <= area.count {
            switch component {
            case .ymmUpper: xsave.ymmhSpace = words(area, place)
            case .boundRegisters: xsave.bndregState = words(area, place)
            case .boundControl: xsave.bndcsrState = words(area, place)
            case .opmask: xsave.opmaskReg = words(area, place)
            case .zmmUpper: xsave.zmmUpper = words(area, place)
            case .zmmHigh: xsave.hi16Zmm = words(area, place)
            case .protectionKeys: xsave.pkru = words(area, place)
            }
        }
        xsave.cet.cet = 0
        xsave.cet.ssp = 0
        entry.xsave = xsave
        return entry
    }

    /// The area for a message, on a processor with this layout.
    ///
    /// - Returns: nil where the message has state in use for which this processor has no place; `missingFeatures`
    ///   says which.
    public static func area(_ entry: UserX86FpregsEntry, layout: ExtendedStateLayout = .current) -> [UInt8]? {
        guard missingFeatures(entry, layout: layout) == 0 else { return nil }
        var area = [UInt8](repeating: 0, count: layout.size)
        put([UInt16(truncatingIfNeeded: entry.cwd), UInt16(truncatingIfNeeded: entry.swd)], into: &area, at: 0)
        put([UInt16(truncatingIfNeeded: entry.twd), UInt16(truncatingIfNeeded: entry.fop)], into: &area, at: 4)
        put([entry.rip, entry.rdp], into: &area, at: 8)
        // Bits that MXCSR does not have make the kernel refuse the whole frame.
        put([entry.mxcsr & 0xffff, entry.mxcsrMask], into: &area, at: 24)
        put(entry.stSpace.prefix(32), into: &area, at: 32)
        put(entry.xmmSpace.prefix(64), into: &area, at: 160)
        guard entry.hasXsave else {
            put([3 as UInt64], into: &area, at: headerOffset)
            denyKeys(in: &area, layout)
            return area
        }
        let xsave = entry.xsave
        put([xsave.xstateBv & layout.features], into: &area, at: headerOffset)
        for (component, place) in layout.places {
            switch component {
            case .ymmUpper: put(xsave.ymmhSpace, into: &area, within: place)
            case .boundRegisters: put(xsave.bndregState, into: &area, within: place)
            case .boundControl: put(xsave.bndcsrState, into: &area, within: place)
            case .opmask: put(xsave.opmaskReg, into: &area, within: place)
            case .zmmUpper: put(xsave.zmmUpper, into: &area, within: place)
            case .zmmHigh: put(xsave.hi16Zmm, into: &area, within: place)
            case .protectionKeys: put(xsave.pkru, into: &area, within: place)
            }
        }
        if xsave.pkru.isEmpty { denyKeys(in: &area, layout) }
        return area
    }

    /// The components (bits of XCR0) that are in use in a message and that this processor lacks.
    public static func missingFeatures(_ entry: UserX86FpregsEntry, layout: ExtendedStateLayout = .current) -> UInt64 {
        guard entry.hasXsave else { return 0 }
        var carried: UInt64 = 3
        for component in ExtendedStateLayout.Component.allCases where !isInitial(component, entry.xsave) {
            carried |= 1 << UInt64(component.rawValue)
        }
        return entry.xsave.xstateBv & carried & ~layout.features
    }

    /// Whether a component is what every thread begins with, which is lost on no processor. Not every processor takes note of
    /// that in XSTATE_BV by itself (Intel SDM, volume 1, 13.6).
    private static func isInitial(
        _ component: ExtendedStateLayout.Component, _ xsave: UserX86XsaveEntry
    ) -> Bool {
        switch component {
        case .ymmUpper: xsave.ymmhSpace.allSatisfy { $0 == 0 }
        case .boundRegisters: xsave.bndregState.allSatisfy { $0 == 0 }
        case .boundControl: xsave.bndcsrState.allSatisfy { $0 == 0 }
        case .opmask: xsave.opmaskReg.allSatisfy { $0 == 0 }
        case .zmmUpper: xsave.zmmUpper.allSatisfy { $0 == 0 }
        case .zmmHigh: xsave.hi16Zmm.allSatisfy { $0 == 0 }
        case .protectionKeys: xsave.pkru.first ?? 0 == usualRights
        }
    }

    /// The rights of a thread (PKRU): two bits for each key, the lower of which forbids any access and the higher to write.
    public static func keyRights(_ entry: UserX86FpregsEntry) -> UInt32 {
        let isInUse = entry.xsave.xstateBv & 1 << UInt64(ExtendedStateLayout.Component.protectionKeys.rawValue) != 0
        return isInUse ? entry.xsave.pkru.first ?? usualRights : entry.xsave.pkru.isEmpty ? usualRights : 0
    }

    /// A thread of a processor without keys begins here as any does: registers that are not in use count as 0, which would
    /// give it the right to everything.
    private static func denyKeys(in area: inout [UInt8], _ layout: ExtendedStateLayout) {
        let component = ExtendedStateLayout.Component.protectionKeys
        guard let place = layout.places[component] else { return }
        put([usualRights], into: &area, at: place.lowerBound)
        let used = area.littleEndian(UInt64.self, at: headerOffset) | 1 << UInt64(component.rawValue)
        put([used], into: &area, at: headerOffset)
    }

    private static func words<T: FixedWidthInteger>(_ area: [UInt8], _ place: Range<Int>) -> [T] {
        stride(from: place.lowerBound, to: place.upperBound - T.bitWidth / 8 + 1, by: T.bitWidth / 8).map {
            area.littleEndian(T.self, at: $0)
        }
    }

    private static func put<T: FixedWidthInteger>(
        _ values: some Sequence<T>, into area: inout [UInt8], at offset: Int
    ) {
        var bytes: [UInt8] = []
        for value in values { bytes.append(littleEndian: value) }
        area.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    private static func put<T: FixedWidthInteger>(
        _ values: [T], into area: inout [UInt8], within place: Range<Int>
    ) {
        put(values.prefix(place.count / (T.bitWidth / 8)), into: &area, at: place.lowerBound)
    }
}
