internal import CLinux
internal import Glibc
public import SystemPackage

/// The states of a process's pages, from `/proc/PID/pagemap`.
///
/// Where the kernel has PAGEMAP_SCAN (since 6.7) runs of pages come ready; before that the words of the file are read,
/// one for each page. Both give the same answer, but for what the file does not tell: see `scan`.
public struct PageMap: ~Copyable {
    private let file: OwnedDescriptor
    /// The open file.
    var descriptor: Int32 { file.raw }
    /// The process.
    public let pid: Int32
    /// Whether the kernel has PAGEMAP_SCAN.
    public let canScan: Bool
    /// Whether the category `guarded` can be asked for. The words always have room for it; a kernel that does not know
    /// it (before 6.15) leaves it 0.
    public let canTellGuards: Bool
    /// The frame of the page of zeros, where the words are read and show frames.
    private let zeroFrame: UInt64?

    /// Whether the category `zero` can be asked for.
    public var canTellZeros: Bool { canScan || zeroFrame != nil }

    /// Opens the map of a process, which needs the right to trace it.
    ///
    /// - Parameter useScan: false takes the older way even where there is PAGEMAP_SCAN.
    public init(of pid: Int32, useScan: Bool = PageMap.scansIfPossible) throws(Errno) {
        file = try Files.open(ProcessDirectory(pid).path.appending("pagemap"), .readOnly)
        self.pid = pid
        canScan = useScan && Self.supportsScan(file.raw, [])
        canTellGuards = !canScan || Self.supportsScan(file.raw, .guarded)
        zeroFrame = canScan ? nil : try? Self.zeroPageFrame()
    }

    /// With `APUS_TEST_NO_PAGEMAP_SCAN` in the environment tests go the way of older kernels.
    public static let scansIfPossible: Bool = unsafe getenv("APUS_TEST_NO_PAGEMAP_SCAN") == nil

    /// Whether PAGEMAP_SCAN works on this descriptor and knows the categories: an empty range is scanned.
    static func supportsScan(_ descriptor: Int32, _ categories: PageCategories) -> Bool {
        var request = apus_pagemap_scan()
        request.size = UInt64(MemoryLayout<apus_pagemap_scan>.size)
        request.return_mask = categories.rawValue
        let result: Int? = try? withAddress(of: &request) {
            outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), APUS_PAGEMAP_SCAN, $0)
        }
        return result != nil
    }

    /// What a scan selects and reports.
    public struct Query: Sendable, Hashable {
        /// A page must have all of these ...
        public var all: PageCategories
        /// ... except those of them that are named here: of these it must have none.
        public var inverted: PageCategories
        /// A page must have one of these, unless it is empty.
        public var any: PageCategories
        /// What is reported of a page; runs end where it changes.
        public var reported: PageCategories
        /// Only mappings whose pages can be write-protected are looked at; others are an error (PM_SCAN_CHECK_WPASYNC).
        var isOfProtected = false
        /// What is reported is write-protected in the same instant (PM_SCAN_WP_MATCHING).
        var protects = false

        public init(
            all: PageCategories = [], inverted: PageCategories = [], any: PageCategories = [],
            reported: PageCategories = []
        ) {
            self.all = all
            self.inverted = inverted
            self.any = any
            self.reported = reported
        }

        func selects(_ categories: PageCategories) -> Bool {
            let seen = PageCategories(rawValue: categories.rawValue ^ inverted.rawValue)
            return seen.isSuperset(of: all) && (any.isEmpty || !seen.isDisjoint(with: any))
        }
    }

    /// Reports the runs of selected pages in the range, in the order of their addresses.
    ///
    /// Without PAGEMAP_SCAN every page of the range costs the reading of a word, mapped or not: ask for what is mapped only.
    /// And `written`, `writeProtectable` and `huge` cannot be told, and `zero` can only by one who
    /// sees page frame numbers (CAP_SYS_ADMIN): see `canTellZeros`.
    ///
    /// - Throws: ENOTSUP where the query asks for a category that cannot be told; ESRCH when the process is gone; and
    ///   what `body` throws.
    public func scan(
        _ range: Range<UInt64>, _ query: Query, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        if canScan {
            try scanByRequest(range, query, body)
        } else {
            try scanByReading(range, query, body)
        }
    }

    private func scanByRequest(
        _ range: Range<UInt64>, _ query: Query, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        var start = range.lowerBound
        var pending: PageRun?
        var regions = [apus_page_region](repeating: apus_page_region(), count: 512)
        while start < range.upperBound {
            let (count, reached) = try request(start..<range.upperBound, query, &regions)
            for region in regions[..<count] {
                let run = PageRun(
                    range: region.start..<region.end, categories: PageCategories(rawValue: region.categories))
                try Self.join(run, to: &pending, body)
            }
            // A walk that does not move would never end.
            guard reached > start else { throw .ioError }
            start = reached
        }
        if let pending { try body(pending) }
    }

    private func request(
        _ range: Range<UInt64>, _ query: Query, _ regions: inout [apus_page_region]
    ) throws(Errno) -> (count: Int, reached: UInt64) {
        var request = apus_pagemap_scan()
        request.size = UInt64(MemoryLayout<apus_pagemap_scan>.size)
        request.start = range.lowerBound
        request.end = range.upperBound
        request.vec_len = UInt64(regions.count)
        request.flags = (query.protects ? 1 : 0) | (query.isOfProtected ? 2 : 0)
        request.category_inverted = query.inverted.rawValue
        request.category_mask = query.all.rawValue
        request.category_anyof_mask = query.any.rawValue
        request.return_mask = query.reported.rawValue
        let descriptor = UInt(signed: file.raw)
        let result = unsafe regions.withUnsafeMutableBytes { buffer -> Result<Int, Errno> in
            // The kernel writes at most `vec_len` regions, while the closure has the array.
            request.vec = UInt64(UInt(bitPattern: buffer.baseAddress))
            return Result { () throws(Errno) in
                try withAddress(of: &request) { outcome(of: Int(SYS_ioctl), descriptor, APUS_PAGEMAP_SCAN, $0) }
            }
        }
        return (try result.get(), request.walk_end)
    }

    /// Passes on the run before where the new one does not continue it.
    private static func join(
        _ run: PageRun, to pending: inout PageRun?, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        if let last = pending {
            if last.range.upperBound == run.range.lowerBound && last.categories == run.categories {
                pending = PageRun(range: last.range.lowerBound..<run.range.upperBound, categories: run.categories)
                return
            }
            try body(last)
        }
        pending = run
    }
}

/// Reading the words of the file (proc_pid_pagemap(5)).
extension PageMap {
    /// Which categories the words tell.
    private static let told: PageCategories = [.file, .present, .swapped, .zero, .softDirty, .guarded]

    private func scanByReading(
        _ range: Range<UInt64>, _ query: Query, _ body: (PageRun) throws(Errno) -> Void
    ) throws(Errno) {
        let asked = query.all.union(query.any).union(query.reported)
        let size = HostFacts.pageSize
        guard asked.isSubset(of: Self.told), canTellZeros || !asked.contains(.zero) else { throw .notSupported }
        var pending: PageRun?
        var page = range.lowerBound / size
        while page < range.upperBound / size {
            let count = Int(min(range.upperBound / size - page, 32 << 10))
            let bytes = try Files.read(file.raw, count: count * 8, at: page * 8)
            // Above the last address that a process can have, the file is at its end.
            if bytes.isEmpty { break }
            for (index, word) in Self.words(bytes).enumerated() {
                let categories = Self.categories(word, zeroFrame: zeroFrame)
                guard query.selects(categories) else { continue }
                let start = (page + UInt64(index)) * size
                let run = PageRun(range: start..<(start + size), categories: categories.intersection(query.reported))
                try Self.join(run, to: &pending, body)
            }
            page += UInt64(bytes.count / 8)
        }
        if let pending { try body(pending) }
    }

    private static func words(_ bytes: [UInt8]) -> [UInt64] {
        unsafe bytes.withUnsafeBytes { buffer in
            // Every offset leaves room for the eight bytes of a word.
            (0..<(buffer.count / 8)).map {
                UInt64(littleEndian: unsafe buffer.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))
            }
        }
    }

    private static func categories(_ word: UInt64, zeroFrame: UInt64?) -> PageCategories {
        var categories: PageCategories = []
        if word & 1 << 63 != 0 { categories.insert(.present) }
        if word & 1 << 62 != 0 { categories.insert(.swapped) }
        if word & 1 << 61 != 0 { categories.insert(.file) }
        if word & 1 << 58 != 0 { categories.insert(.guarded) }
        if word & 1 << 55 != 0 { categories.insert(.softDirty) }
        let frame = word & (1 << 55 - 1)
        if categories.contains(.present), let zeroFrame, frame == zeroFrame { categories.insert(.zero) }
        return categories
    }

    /// The frame of the page of zeros, found by touching a page of our own without writing.
    ///
    /// - Throws: EPERM where page frame numbers are hidden.
    private static func zeroPageFrame() throws(Errno) -> UInt64 {
        let size = HostFacts.pageSize
        let (readOnly, privateAnonymous): (UInt, UInt) = (0x1, 0x22)
        let address = try call(
            Int(SYS_mmap), 0, UInt(size), readOnly, privateAnonymous, UInt(signed: -1), 0)
        defer { _ = outcome(of: Int(SYS_munmap), UInt(bitPattern: address), UInt(size)) }
        let own = try Files.open("/proc/self/pagemap", .readOnly)
        // The first read of an anonymous page maps the page of zeros there.
        let memory = try Files.open("/proc/self/mem", .readOnly)
        _ = try Files.read(memory.raw, count: 1, at: UInt64(UInt(bitPattern: address)))
        let bytes = try Files.read(own.raw, count: 8, at: UInt64(UInt(bitPattern: address)) / size * 8)
        let frame = words(bytes).first.map { $0 & (1 << 55 - 1) } ?? 0
        if frame == 0 { throw .notPermitted }
        return frame
    }
}
