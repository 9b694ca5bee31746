public import SystemPackage

/// The mappings of a process with their flags, as the kernel itself keeps them (struct vm_area_struct, in the maple tree of struct
/// mm_struct: Documentation/core-api/maple_tree.rst).
///
/// All else that tells of flags walks through all page tables with it: `/proc/PID/smaps` takes 12 ms for a GiB. What the flags mean
/// differs between kernels, and is not asked: two looks are the same, or not.
public struct KernelMappings: Sendable, Equatable {
    /// One of them.
    public struct Area: Sendable, Equatable {
        public var range: Range<UInt64>
        /// VM_* of the running kernel.
        public var flags: UInt64
    }

    /// By address.
    public let areas: [Area]
    /// A number that changes whenever anything about the mappings may have been changed (mm_lock_seq, Linux 6.4).
    private let sequence: UInt32

    /// There are programs with a hundred thousand, to look at which takes longer than it saves.
    private static let most = 4096

    /// Looks at a process. While it runs it may meet what is just being changed: compare two looks, and what was found between them
    /// was so where `isSameMoment`.
    ///
    /// - Parameter pid: a process, or one of its threads.
    /// - Throws: EBADMSG where what is found makes no sense; EOPNOTSUPP where this kernel keeps them in another way; what
    ///   ``KernelMemory`` and opening `/proc/PID/mem` throw.
    public init(of pid: Int32) throws(Errno) {
        let memory = try Files.open(ProcessDirectory(pid).path.appending("mem"), .readOnly)
        self = try KernelMemory.use { (kernel) throws(Errno) in try Self(kernel, memory.raw) }
    }

    /// - Parameter memory: `/proc/PID/mem`, whose file has the address of the mappings (struct mm_struct).
    private init(_ kernel: KernelMemory, _ memory: Int32) throws(Errno) {
        let space = try kernel.pointer(kernel.file(memory), "file", "private_data")
        sequence = try kernel.number(space, "mm_struct", "mm_lock_seq")
        let root = try kernel.pointer(space, "mm_struct", "mm_mt.ma_root")
        var walk = try Walk(kernel)
        try walk.visit(root, 0..<UInt64(bitPattern: Int64.max), depth: 0)
        areas = walk.found
    }

    /// Whether nothing can have changed from this look to a later one.
    public func isSameMoment(as later: KernelMappings) -> Bool {
        // While somebody is at it the number is odd, since Linux 6.13.
        sequence == later.sequence && areas == later.areas
    }

    /// A way through the tree.
    private struct Walk {
        let kernel: KernelMemory
        let leaf, wide: Layout
        let flags: UInt64
        var found: [Area] = []
        private var nodes = 0

        /// Where a node has its parts.
        struct Layout {
            /// Of the last addresses of the parts, and of what is there: in words.
            let pivots, slots: Range<Int>
        }

        /// Types of nodes (enum maple_type).
        private static let (leafType, rangeType, wideType): (UInt64, UInt64, UInt64) = (1, 2, 3)
        private static let (nodeSize, mostDepth) = (256, 12)

        init(_ kernel: KernelMemory) throws(Errno) {
            self.kernel = kernel
            func layout(_ name: String, slotsEnd: UInt64) throws(Errno) -> Layout {
                let (pivots, slots) = (try kernel.offset(name, "pivot"), try kernel.offset(name, "slot"))
                guard pivots < slots, slots < slotsEnd, slotsEnd <= UInt64(Self.nodeSize) else { throw .notSupported }
                return Layout(pivots: Int(pivots / 8)..<Int(slots / 8), slots: Int(slots / 8)..<Int(slotsEnd / 8))
            }
            leaf = try layout("maple_range_64", slotsEnd: UInt64(kernel.types.size(of: "maple_range_64") ?? 0))
            wide = try layout("maple_arange_64", slotsEnd: try kernel.offset("maple_arange_64", "gap"))
            flags = try kernel.offset("vm_area_struct", "vm_flags")
        }

        /// - Parameters:
        ///   - entry: the address of a node, with its type in the bits above the lowest three.
        ///   - range: of addresses that the node speaks of.
        mutating func visit(_ entry: UInt64, _ range: Range<UInt64>, depth: Int) throws(Errno) {
            let (mask, internalMark): (UInt64, UInt64) = (0xff, 2)
            let type = entry >> 3 & 0xf
            nodes += 1
            // What is read of one that is taken away meanwhile may be anything.
            guard entry & 3 == internalMark || depth > 0, entry > 4096, depth < Self.mostDepth,
                nodes <= KernelMappings.most, type >= Self.leafType, type <= Self.wideType
            else { throw .badMessage }
            let bytes = try kernel.bytes(Self.nodeSize, at: entry & ~mask)
            let words = stride(from: 0, to: Self.nodeSize, by: 8).map { bytes[...].integer(at: $0, of: UInt64.self) }
            let layout = type == Self.wideType ? wide : leaf
            var start = range.lowerBound
            for (index, slot) in layout.slots.enumerated() {
                let pivot = index < layout.pivots.count ? words[layout.pivots.lowerBound + index] : 0
                // One that is not set is the end: what it speaks of goes on to the end of the node.
                let isLast = index >= layout.pivots.count || pivot == 0 && index > 0 || pivot >= range.upperBound - 1
                let end = isLast ? range.upperBound : pivot + 1
                guard end > start || isLast else { throw .badMessage }
                if type != Self.leafType {
                    try visit(words[slot], start..<end, depth: depth + 1)
                } else if words[slot] > 4096 {
                    guard found.count < KernelMappings.most else { throw .fileTooLarge }
                    found.append(Area(range: start..<end, flags: try kernel.word(at: words[slot] &+ flags)))
                }
                if isLast { return }
                start = end
            }
        }
    }
}
