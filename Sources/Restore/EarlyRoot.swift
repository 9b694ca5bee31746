internal import CLinux
public import Diagnostics
internal import Glibc
public import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The root of a tree, made before its images are complete, so that pages can be put into its memory while the original
/// still runs: what a restore would copy into it later is then there.
///
/// It is made of the images of a rehearsal. When those come that count, it is held against them, and taken over by the
/// restore where it still suits: the mappings that have stayed what they were stay where they are, as memory does that a
/// task has inherited (``InheritedMemory``). Where it does not suit, its pages are fetched back and it ends, and the
/// restore goes as usual.
///
/// Memory of its descendants is there as well, as far as addresses do not meet; they inherit it, each its own.
///
/// Until it is taken over it waits on its channel and ends when Apus does, as all tasks that are being made.
public final class EarlyRoot {
    /// What pages can be put into.
    public let memory: EarlyMemory
    /// Set by whoever puts them there.
    public weak var pages: (any EarlyPages)?

    private let builder: TreeBuilder
    private let maps: [Int32: [Inheritance.Mapped]]
    private let capacity: Int
    private var isOver = false

    /// What the planner has to know of it.
    struct Offer: Sendable {
        var pid: Int32
        /// Of Apus' own things in it.
        var base: RemoteAddress
        /// Of its mailbox, in bytes.
        var capacity: Int
        /// By the process that it is of, all of it mapped in the root.
        var memory: [Int32: Memory]

        struct Memory: Sendable {
            var mapped: [Inheritance.Mapped]
            var content: [Inheritance.Content]
        }

        /// Where memory is that a process has no use for.
        func strange(to pid: Int32) -> [Range<UInt64>] {
            memory.filter { $0.key != pid }.flatMap { $0.value.mapped.map(\.range) }
        }
    }

    /// Memory of fewer bytes is copied in no time; a descendant has to inherit it first, and its parent to let go of it.
    private static let (worthwhile, worthInheriting): (UInt64, UInt64) = (256 << 10, 4 << 20)
    /// Where the first task of a plan has its channel and its control block.
    private static let (channelPlace, controlPlace): (Int, Int) = (64, 128)
    /// Behind them there is room for batches.
    private static let batchPlace = 4096

    /// Makes the root of a tree that could be restored with these options.
    ///
    /// - Returns: nil where there is no use in it, or where it cannot be made: then the restore goes as usual.
    public init?(rehearsed options: RestoreOptions) {
        guard options.pidPolicy == .exact, !options.sibling,
            let preflight = try? Preflight(options, seesPids: true, seesOutside: !options.isInside)
        else { return nil }
        defer {
            preflight.contents.abandon()
            preflight.directory.unlock()
        }
        let (plan, images) = (preflight.plan, preflight.images)
        guard preflight.problems.isEmpty, plan.first == 0, plan.clocks == nil, let root = images.root,
            let layers = try? PageLayers(of: preflight.directory), Self.isPlain(images, layers)
        else { return nil }
        maps = Self.worthwhileMappings(images, layers, plan)
        // It may have more to do by then than at the rehearsal.
        capacity = (2 * plan.mailboxSize + (1 << 20) + 512 * (plan.openings.count + plan.tasks.count) + 4095) & ~4095
        let all = images.tasks.compactMap(\.memory).flatMap(\.vmas).filter { !$0.kind.contains(.vsyscall) }
        // There is none below that of the plan, which is smaller.
        guard !maps.isEmpty,
            let base = AddressHole.find(
                of: UInt64(Self.room(for: capacity)), outside: all, from: plan.area.base.raw),
            let builder = Self.builder(plan, at: base, capacity, preflight.site)
        else { return nil }
        do {
            try Self.begin(builder, maps.values.flatMap(\.self))
            memory = try EarlyMemory(of: root.pid, maps.mapValues { $0.map(\.range) })
        } catch {
            builder.abandon()
            return nil
        }
        self.builder = builder
    }

    /// No pages are shared by copy-on-write, for which tasks inherit memory in another way, and no task has memory that
    /// is not to be mapped as its own image says.
    private static func isPlain(_ images: CheckpointImages, _ layers: PageLayers) -> Bool {
        guard images.tasks.count == 1 || layers.directories.count == 1 else { return false }
        return images.tasks.allSatisfy { task in
            guard let json = images.supplement[.memory, task.pid] else { return true }
            guard let traits = MemoryTraits(json) else { return false }
            return traits.droppable.isEmpty && traits.policies.isEmpty
        }
    }

    /// Private memory without a file, of which something is stored: the largest first.
    private static func worthwhileMappings(
        _ images: CheckpointImages, _ layers: PageLayers, _ plan: RestorePlan
    ) -> [Int32: [Inheritance.Mapped]] {
        var candidates: [(pid: Int32, mapped: Inheritance.Mapped)] = []
        for (index, task) in images.tasks.enumerated() {
            guard plan.tasks[index].sharedWithMaker.isEmpty, let vmas = task.memory?.vmas,
                let segments = try? layers.segments(id: UInt64(UInt32(bitPattern: task.pid)))
            else { continue }
            let least = index == 0 ? worthwhile : worthInheriting
            for vma in vmas where vma.end - vma.start >= least {
                guard vma.flags & UInt32(MAP_ANONYMOUS) != 0, vma.flags & UInt32(MAP_GROWSDOWN) == 0,
                    vma.kind.isDisjoint(with: [.privateFile, .memfd]), let key = MappingKey(vma),
                    !segments.overlapping(vma.start..<vma.end, by: { $0.range }).isEmpty
                else { continue }
                candidates.append((task.pid, .init(vma: vma, key: key)))
            }
        }
        candidates.sort { $1.mapped.vma.end - $1.mapped.vma.start < $0.mapped.vma.end - $0.mapped.vma.start }
        var (found, taken): ([Int32: [Inheritance.Mapped]], [Range<UInt64>]) = ([:], [])
        for (pid, mapped) in candidates.prefix(mostMappings) {
            if taken.contains(where: { $0.overlaps(mapped.range) }) { continue }
            taken.append(mapped.range)
            found[pid, default: []].append(mapped)
        }
        return found.mapValues { $0.sorted { $0.vma.start < $1.vma.start } }
    }

    /// Each is one more thing that every process has to be told of.
    private static let mostMappings = 512

    private static func room(for capacity: Int) -> Int { RestorePlan.Area.prelude + 0x1000 + capacity }

    private static func builder(
        _ whole: RestorePlan, at base: RemoteAddress, _ capacity: Int, _ site: RestoreSite
    ) -> TreeBuilder? {
        var plan = RestorePlan(area: .init(base: base))
        plan.mailboxDescriptor = whole.mailboxDescriptor
        plan.mailboxSize = capacity
        let root = whole.tasks[0]
        let thread = RestorePlan.Thread(
            tid: root.pid, controlPlace: controlPlace, batch: .init(), frame: RemoteAddress(0), leave: RemoteAddress(0))
        plan.tasks = [
            RestorePlan.Task(
                pid: root.pid, name: root.name, state: .alive, channel: root.channel, channelPlace: channelPlace,
                usersPlace: channelPlace + 4, threads: [thread], family: .init(), rebuild: .init(at: batchPlace),
                finish: .init(), cleanup: .init(), outOfMemoryAdjustment: 0)
        ]
        return try? TreeBuilder(plan, site: site, sibling: false, progress: .silent, deadline: .never)
    }

    private static func begin(_ builder: TreeBuilder, _ maps: [Inheritance.Mapped]) throws(Problem) {
        try builder.spawnFirst()
        builder.closeService()
        try builder.arrive()
        var batch = Batch()
        // Whether it may fetch anything from Apus: Yama or a security module may be against it.
        let apus = Batch.Argument.result(
            batch.call(Int(SYS_pidfd_open), .signed(getpid()), 0, for: "open Apus by its pid"))
        let fetched = Batch.Argument.result(
            batch.call(
                Int(SYS_pidfd_getfd), apus, .signed(builder.mailbox.file.raw), 0, for: "fetch a descriptor from Apus"))
        batch.call(Int(SYS_close), fetched)
        batch.call(Int(SYS_close), apus)
        for one in maps {
            batch.call(
                Int(SYS_mmap), .value(one.vma.start), .value(one.vma.end - one.vma.start),
                .value(UInt64(one.vma.protectionWhileFilled)),
                .value(UInt64(Planner.flagsOfAnonymous(one.vma) | Planner.noReplace)), .signed(-1), 0,
                expecting: Int64(one.vma.start)...Int64(one.vma.start), for: "map memory that is to be filled")
        }
        guard batchPlace + batch.encodedSize <= builder.plan.mailboxSize else {
            throw Problem(.restoreFailed, "it has too many mappings", remedy: "")
        }
        let placed = RestorePlan.PlacedBatch(batch, at: batchPlace)
        builder.mailbox.write(placed)
        try builder.run(placed, in: builder.root)
    }

    /// Takes pages away that are out of date, whichever process they are of: no two have the same addresses in it.
    ///
    /// - Parameter ranges: in its memory, sorted by address.
    /// - Throws: where it has gone.
    public func drop(_ ranges: [Range<UInt64>]) throws(Problem) {
        if isOver { return }
        let notNeeded = 4  // MADV_DONTNEED
        for start in stride(from: 0, to: ranges.count, by: Self.mostDropped) {
            var batch = Batch()
            for range in ranges[start...].prefix(Self.mostDropped) {
                batch.call(
                    Int(SYS_madvise), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                    .int(notNeeded), for: "drop pages that are out of date")
            }
            let placed = RestorePlan.PlacedBatch(batch, at: Self.batchPlace)
            builder.mailbox.write(placed)
            try builder.run(placed, in: builder.root)
        }
    }

    /// So many calls fit into the smallest mailbox that there is.
    private static let mostDropped = 4096

    // MARK: Taking over

    /// Holds it against the images that count, and fetches back what cannot stay in it.
    ///
    /// - Returns: what is there of them; nil where it is of no use.
    func offer(_ images: CheckpointImages, _ layers: PageLayers, _ options: RestoreOptions) throws(Problem) -> Offer? {
        let area = builder.plan.area.base.raw..<builder.plan.area.base.raw + UInt64(Self.room(for: capacity))
        let all = images.tasks.compactMap(\.memory).flatMap(\.vmas) + Planner.segmentExtents(images)
        guard !isOver, !options.continueClocks, let root = images.root, root.pid == pid,
            Self.isPlain(images, layers),
            !all.contains(where: { $0.start < area.upperBound && $0.end > area.lowerBound })
        else { return nil }
        var offer = Offer(pid: root.pid, base: builder.plan.area.base, capacity: capacity, memory: [:])
        let source = PageSourceKey(EarlyRoot.segment(at: 0, pages: 0))
        for (pid, mapped) in maps {
            let vmas = images.task(pid)?.memory?.vmas ?? []
            var kept: [Range<UInt64>] = []
            for one in mapped {
                for vma in vmas.overlapping(one.range, by: { $0.start..<$0.end }) where MappingKey(vma) == one.key {
                    kept.append((vma.start..<vma.end).clamped(to: one.range))
                }
            }
            try pages?.fetchBack(of: pid, besides: kept, wanted: vmas.map { $0.start..<$0.end })
            let content = (pages?.pagesInPlace(of: pid) ?? []).map { Inheritance.Content(range: $0, source: source) }
            offer.memory[pid] = .init(mapped: mapped, content: content)
        }
        return offer
    }

    /// How a locator of pages names those that are in their place already.
    public static func segment(at address: UInt64, pages: UInt64) -> PageLayers.Segment {
        .init(
            address: address, pages: pages, layer: PageLayers.Segment.elsewhere, pagesID: 0, fileOffset: address)
    }

    /// Whether a plan that was made with the offer can be carried out with it.
    func suits(_ plan: RestorePlan) -> Bool {
        guard plan.first == 0, let root = plan.tasks.first, let thread = root.threads.first else {
            return false
        }
        return root.channelPlace == Self.channelPlace && thread.controlPlace == Self.controlPlace
            && plan.mailboxEnd + fetching(plan).encodedSize <= capacity
    }

    /// It is of no use: its pages are fetched back, and it ends.
    func giveBack(_ images: CheckpointImages) throws(Problem) {
        defer { abandon() }
        if isOver { return }
        for pid in maps.keys {
            let vmas = images.task(pid)?.memory?.vmas ?? []
            try pages?.fetchBack(of: pid, besides: [], wanted: vmas.map { $0.start..<$0.end })
        }
    }

    /// How many bytes of pages are in their place.
    var filled: UInt64 {
        maps.keys.reduce(0) { sum, pid in
            (pages?.pagesInPlace(of: pid) ?? []).reduce(sum) { $0 + $1.upperBound - $1.lowerBound }
        }
    }

    /// The pid that it has, and is to keep.
    var pid: Int32 { builder.root.pid }

    /// The file that it shares with Apus, and what is known of its address space.
    func file() throws(Errno) -> OwnedDescriptor { try Files.duplicate(builder.mailbox.file.raw, from: 3) }
    var vdso: (offset: UInt64, size: UInt64) { (builder.vdsoOffset, builder.vdsoSize) }

    /// Has the root fetch everything from Apus that it would have inherited.
    private func fetching(_ plan: RestorePlan) -> Batch {
        var batch = Batch()
        let apus = Batch.Argument.result(
            batch.call(Int(SYS_pidfd_open), .signed(getpid()), 0, for: "open Apus by its pid"))
        let numbers =
            [plan.mailboxDescriptor] + plan.openings.filter { !$0.isLate }.map(\.descriptor) + plan.tasks.map(\.channel)
        let old = builder.root.channel
        for number in numbers {
            let fetched = Batch.Argument.result(
                batch.call(
                    Int(SYS_pidfd_getfd), apus, .signed(number), 0, for: "fetch descriptor \(number) from Apus"))
            batch.call(Int(SYS_dup3), fetched, .signed(number), 0, for: "put descriptor \(number) in its place")
            batch.call(Int(SYS_close), fetched)
        }
        batch.call(Int(SYS_close), apus)
        // It reports over its new channel.
        if !numbers.contains(old) { batch.call(Int(SYS_close), .signed(old)) }
        return batch
    }

    /// Hands the process over to the builder of the whole tree, whose mailbox has taken the place of its own.
    ///
    /// - Parameter run: writes a batch, sends the command by what it is given, and waits for the report.
    func handOver(
        _ plan: RestorePlan,
        run: (RestorePlan.PlacedBatch, () throws(Problem) -> Void) throws(Problem) -> Void
    ) throws(Problem) {
        isOver = true
        builder.started = []
        defer { builder.channels.removeAll() }
        if let limit = try? Processes.limit(Int32(RLIMIT_NOFILE.rawValue)) {
            // Apus has raised its own since.
            try? Processes.setLimit(Int32(RLIMIT_NOFILE.rawValue), of: pid, to: limit)
        }
        try run(.init(fetching(plan), at: plan.mailboxEnd)) { () throws(Problem) in
            try builder.command(builder.root)
        }
    }

    /// Ends it, unless it belongs to a restore already.
    public func abandon() {
        if isOver { return }
        isOver = true
        builder.abandon()
    }

    deinit { abandon() }
}

@available(*, unavailable)
extension EarlyRoot: Sendable {}
