internal import CLinux

/// Where the components of the extended state stand in the standard format of XSAVE on this processor (Intel SDM,
/// volume 1, chapter 13; CPUID leaf 0DH).
public struct ExtendedStateLayout: Sendable, Equatable {
    /// A component: its number is its bit in XCR0.
    public enum Component: Int, CaseIterable, Sendable {
        /// The upper halves of YMM0 to YMM15.
        case ymmUpper = 2
        case boundRegisters = 3
        case boundControl = 4
        /// k0 to k7.
        case opmask = 5
        /// The upper halves of ZMM0 to ZMM15.
        case zmmUpper = 6
        /// ZMM16 to ZMM31.
        case zmmHigh = 7
        case protectionKeys = 9
    }

    /// The tile registers of AMX: their configuration and what is in them. They stand behind all else, and are only in the area of
    /// a thread that has the permission and has used them (arch/x86/xstate.rst of the kernel's documentation).
    public struct Tiles: Sendable, Equatable {
        public let configuration, data: Range<Int>
        /// Their bits of XCR0.
        public static let features: UInt64 = 3 << 17
        /// Of the configuration and the data.
        static let numbers: (UInt32, UInt32) = (17, 18)

        public init(configuration: Range<Int>, data: Range<Int>) {
            (self.configuration, self.data) = (configuration, data)
        }
    }

    /// Where the tile registers stand; nil where there are none.
    public var tiles: Tiles?

    /// The components that the kernel has turned on (XCR0), of those that every thread may use.
    public var features: UInt64
    /// Bytes of the area up to the end of the last of them. The kernel takes no signal frame with more than a thread may use, and
    /// restores nothing but SSE from it (check_xstate_in_sigframe of arch/x86/kernel/fpu/signal.c): the tiles of AMX stand
    /// behind all others, and need a permission.
    public var size: Int
    /// The place of each component that is turned on.
    public var places: [Component: Range<Int>]

    /// The end of the header that follows the legacy area: x87 and SSE only.
    public static let smallestSize = 576

    public init(features: UInt64, size: Int, places: [Component: Range<Int>], tiles: Tiles? = nil) {
        self.tiles = tiles
        self.features = features
        self.size = size
        self.places = places
    }

    /// This processor's.
    public static let current: ExtendedStateLayout = {
        guard apus_cpuid(1, 0).ecx & (1 << 27) != 0 else {
            return ExtendedStateLayout(features: 3, size: smallestSize, places: [:])
        }
        let legacy: UInt64 = 3
        let features = apus_xcr0() & Component.allCases.reduce(legacy) { $0 | 1 << UInt64($1.rawValue) }
        var places: [Component: Range<Int>] = [:]
        func place(_ number: UInt32) -> Range<Int> {
            let description = apus_cpuid(0xd, number)
            return Int(description.ebx)..<Int(description.ebx) + Int(description.eax)
        }
        for component in Component.allCases where features & (1 << UInt64(component.rawValue)) != 0 {
            places[component] = place(UInt32(component.rawValue))
        }
        let hasTiles = apus_xcr0() & Tiles.features == Tiles.features
        let tiles = Tiles(configuration: place(Tiles.numbers.0), data: place(Tiles.numbers.1))
        let size = places.values.map(\.upperBound).max() ?? smallestSize
        return ExtendedStateLayout(
            features: features, size: max(size, smallestSize), places: places, tiles: hasTiles ? tiles : nil)
    }()
}
