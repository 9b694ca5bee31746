internal import CLinux
internal import Glibc
internal import SystemPackage

/// Memory: which pages there are, which have changed, and how they are put back.
extension KernelFeature {
    static let memory: [KernelFeature] = [
        KernelFeature(
            "pagemap_scan", "asking for runs of pages by their states (PAGEMAP_SCAN)",
            cost: "Finding the pages to store takes longer, and needs the right to see page frame numbers."
        ) { () throws(Errno) in
            try PageMap(of: Processes.current).canScan ? .present : .missing("the request is not known")
        },
        KernelFeature(
            "pagemap_scan_guard_pages", "telling guard pages by PAGEMAP_SCAN",
            cost: "Guard pages made with MADV_GUARD_INSTALL cannot be told from pages that are swapped out."
        ) { () throws(Errno) in
            let map = try PageMap(of: Processes.current)
            return map.canScan && map.canTellGuards ? .present : .missing("the category is not known")
        },
        KernelFeature(
            "madv_guard", "guard pages without mappings of their own (MADV_GUARD_INSTALL)",
            cost: "Programs dumped on a kernel with guard pages cannot be restored where they use them."
        ) { () throws(Errno) in
            let page = try ScratchPages(1)
            let install: UInt = 102
            try call(Int(SYS_madvise), page.address, page.size, install)
            return .present
        },
        KernelFeature(
            "mem_dirty_track", "marking written pages (soft-dirty)",
            cost: "Nothing where uffd_wp_async is present; else pre-dump and track-mem store all pages each time."
        ) { () throws(Errno) in try probeSoftDirty() },
        KernelFeature(
            "uffd", "handling page faults outside of the process (userfaultfd)",
            cost: "No lazy restore, and no tracking of changed pages through it."
        ) { () throws(Errno) in try probeUserfault(features: 0) },
        KernelFeature(
            "uffd-noncoop", "userfaultfd for processes that know nothing of it (fork, mremap, munmap events)",
            cost: "No lazy restore of processes that fork or change their mappings."
        ) { () throws(Errno) in try probeUserfault(features: 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6) },
        KernelFeature(
            "uffd_wp_async", "marking written pages (asynchronous write protection of userfaultfd)",
            cost: "Pre-dump and track-mem store all pages each time, unless soft-dirty is present."
        ) { () throws(Errno) in try probeUserfault(features: 1 << 15) },
        KernelFeature(
            "map_files", "opening what is mapped (/proc/PID/map_files)",
            cost: "Deleted files and shared memory that are mapped, but not open, cannot be dumped."
        ) { () throws(Errno) in try probeMapFiles() },
        KernelFeature(
            "anon_vma_name", "names of anonymous memory (PR_SET_VMA_ANON_NAME)",
            cost: "The names that programs give to their memory for /proc/PID/maps are not restored."
        ) { () throws(Errno) in
            let page = try ScratchPages(1)
            var name: (UInt8, UInt8) = (UInt8(ascii: "a"), 0)
            let (setVMA, anonymousName): (UInt, UInt) = (0x5356_4d41, 0)
            _ = try withAddress(of: &name) {
                outcome(of: Int(SYS_prctl), setVMA, anonymousName, page.address, page.size, $0)
            }
            return .present
        },
        KernelFeature(
            "aio_remap", "moving the ring of asynchronous input and output",
            cost: "Processes with contexts of io_setup cannot be restored."
        ) { () throws(Errno) in try probeRemap() },
        KernelFeature(
            "overlayfs_maps", "mappings of files on overlayfs showing the file itself",
            cost: "In containers, files that are mapped may be taken for others: they are looked up by path."
        ) { () throws(Errno) in try probeOverlayMaps() },
    ]

    /// A page just written must be marked, and the marks be cleared on demand.
    private static func probeSoftDirty() throws(Errno) -> Finding {
        let page = try ScratchPages(1)
        page.touch()
        let range = UInt64(page.address)..<UInt64(page.address + page.size)
        let child = try ProbeChild()
        let map = try PageMap(of: child.pid, useScan: false)
        func isMarked() throws(Errno) -> Bool {
            var marked = false
            try map.scan(range, .init(all: .softDirty)) { (_) throws(Errno) in marked = true }
            return marked
        }
        guard try isMarked() else { return .missing("a page that was just written is not marked") }
        let clear = try Files.open(ProcessDirectory(child.pid).path.appending("clear_refs"), .writeOnly)
        try Files.write(clear.raw, [UInt8(ascii: "4")])
        return try isMarked() ? .missing("the marks cannot be cleared") : .present
    }

    private static func probeUserfault(features: UInt64) throws(Errno) -> Finding {
        // UFFD_USER_MODE_ONLY suffices for the handshake, and may be had without rights.
        let userModeOnly: UInt = 1
        let descriptor: Int
        do throws(Errno) {
            descriptor = try call(Int(SYS_userfaultfd), UInt(O_CLOEXEC | O_NONBLOCK))
        } catch .notPermitted {
            descriptor = try call(Int(SYS_userfaultfd), UInt(O_CLOEXEC | O_NONBLOCK) | userModeOnly)
        }
        let owned = OwnedDescriptor(owning: Int32(descriptor))
        // struct uffdio_api: the version, the features asked for, the requests there are.
        let handshake: UInt = 0xc018_aa3f
        var api: (UInt64, UInt64, UInt64) = (0xaa, features, 0)
        _ = try withAddress(of: &api) { outcome(of: Int(SYS_ioctl), UInt(signed: owned.raw), handshake, $0) }
        return api.1 & features == features ? .present : .missing("the features are not offered")
    }

    private static func probeMapFiles() throws(Errno) -> Finding {
        let file = try Files.memory(named: "apus-probe")
        try Files.truncate(file.raw, to: HostFacts.pageSize)
        let page = try ScratchPages(1, of: file.raw)
        let range = String(page.address, radix: 16) + "-" + String(page.address + page.size, radix: 16)
        let opened = try Files.open(FilePath("/proc/self/map_files/" + range), .readOnly)
        let (mine, theirs) = (
            try Files.status(ofDescriptor: file.raw), try Files.status(ofDescriptor: opened.raw)
        )
        return mine.inode == theirs.inode ? .present : .missing("another file came back")
    }

    private static func probeRemap() throws(Errno) -> Finding {
        var context: UInt64 = 0
        _ = try withAddress(of: &context) { outcome(of: Int(SYS_io_setup), 16, $0) }
        var current = UInt(context)
        defer { _ = outcome(of: Int(SYS_io_destroy), current) }
        let areas = (try? Procfs.live.process(Processes.current).maps()) ?? []
        guard let ring = areas.first(where: { $0.range.lowerBound == context }) else {
            return .missing("the ring is not mapped")
        }
        let target = try ScratchPages(Int(ring.size / HostFacts.pageSize))
        let mayMoveToFixed: UInt = 3
        let moved = try call(
            Int(SYS_mremap), current, UInt(ring.size), UInt(ring.size), mayMoveToFixed, target.address)
        current = UInt(moved)
        // No events are asked for and none awaited: the call succeeds if the context is known by its new address.
        try call(Int(SYS_io_getevents), current, 0, 0, 0, 0)
        return .present
    }
}

/// Anonymous or mapped memory of a probe, unmapped with its owner.
struct ScratchPages: ~Copyable {
    let address: UInt
    let size: UInt

    init(_ count: Int, of descriptor: Int32? = nil) throws(Errno) {
        size = UInt(count) * UInt(HostFacts.pageSize)
        let flags = UInt(descriptor == nil ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED)
        address = UInt(
            bitPattern: try call(
                Int(SYS_mmap), 0, size, UInt(PROT_READ | PROT_WRITE), flags, UInt(signed: descriptor ?? -1), 0))
    }

    deinit { _ = outcome(of: Int(SYS_munmap), address, size) }

    /// Writes to the first page.
    func touch() {
        // The memory is mapped writable while this value lives.
        unsafe UnsafeMutablePointer<UInt8>(bitPattern: address)?.pointee = 1
    }
}
