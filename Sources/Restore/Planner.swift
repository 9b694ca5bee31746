public import Diagnostics
public import Images
internal import Linux
public import Objects
internal import SystemPackage
internal import Tracing

/// Makes a plan of images. Pure: it reads the images and facts of the host that it is given, and touches nothing.
public struct Planner {
    let images: CheckpointImages
    let layers: PageLayers
    let host: RestoreHost
    let shellJob: Bool
    let leavesStopped: Bool
    /// What all tasks run as, by order of the caller.
    private(set) var securityProfile: SecurityProfile?
    /// The files of the image directory.
    let names: [String]

    var plan: RestorePlan
    /// Who shares a table with its maker.
    var sharing = Sharing()
    /// The pids of zombies, by their parents.
    let endedByParent: [Int32: [Int32]]
    /// Who makes whom.
    var family = Family() {
        didSet {
            helpersByParent = [:]
            for (index, process) in family.processes.enumerated() where process.role != .member {
                if let parent = process.parent { helpersByParent[parent, default: []].append(index) }
            }
        }
    }
    /// The helpers whose end a process has to take note of.
    private(set) var helpersByParent: [Int: [Int]] = [:]
    var problems: [Problem] = []
    /// The service descriptor of each file of the images, of each pages file, of each shared memory object.
    var files: [FileTable.Key: Int32] = [:]
    var pages: [PagesKey: Int32] = [:]
    /// Directories of images in which tasks open pages files for themselves, by layer.
    var folders: [Int: Int32] = [:]
    var sharedMemory: [UInt64: Int32] = [:]
    /// By task.
    var ways: [WaysOut] = []
    /// By task: the seccomp filters that all its threads have in common, the first installed first.
    var sharedFilters: [Int: [Int]] = [:]
    /// By task, where the kernel's own mappings go.
    var vdsos: [Int32: VdsoPlan] = [:]
    /// How many bytes there are for Apus' own area.
    let room: Int
    /// The stored pages of the tasks looked at so far, and what tasks inherit of each other's.
    var segmentsByPid: [Int32: [PageLayers.Segment]] = [:]
    var inheritance: Inheritance?
    /// The memory that is in the root already, for each process that it is for: through whom it comes there, from the
    /// process itself up.
    var earlyMemory: [(line: Set<Int>, ranges: [Range<UInt64>])] = []
    /// By task: the policies of its mappings, once somebody has asked for them.
    var policiesByTask: [[MemoryTraits.Placed]]?
    /// The descriptors that tasks cannot inherit, and the pidfd of Apus through which they fetch them.
    var late = LateDescriptors()
    /// Numbers under which tasks have something open until what `/proc` says about them is open, by pid.
    let described: [Int32: Set<Int32>]
    /// Descriptions whose readiness a task has asked to be told of.
    var announced: Set<FileTable.Key> = []
    private var numbers: ServiceNumbers

    private var mapped: [MappedFile: Int32] = [:]
    /// What is mapped, by service descriptor.
    private(set) var mappedNames: [Int32: String] = [:]

    private struct MappedFile: Hashable {
        var file: FileTable.Key
        var flags: UInt32
    }

    struct PagesKey: Hashable {
        var layer: Int
        var id: UInt32
    }

    /// Plans a restore.
    ///
    /// - Throws: everything that stands in the way according to the images and the facts, in one look.
    public static func plan(
        _ images: CheckpointImages, pages layers: PageLayers, host: RestoreHost, shellJob: Bool, leavesStopped: Bool,
        securityProfile: SecurityProfile? = nil
    ) throws(Problems) -> RestorePlan {
        let (plan, problems) = try examine(
            images, pages: layers, host: host, shellJob: shellJob, leavesStopped: leavesStopped,
            securityProfile: securityProfile)
        try Problems.throwIfAny(problems)
        return plan
    }

    /// Plans a restore as far as that can be done.
    ///
    /// - Returns: the plan, and what stands in the way; a plan with problems is good for further questions only.
    /// - Throws: where there is nothing to plan with.
    static func examine(
        _ images: CheckpointImages, pages layers: PageLayers, host: RestoreHost, shellJob: Bool, leavesStopped: Bool,
        securityProfile: SecurityProfile? = nil
    ) throws(Problems) -> (plan: RestorePlan, problems: [Problem]) {
        try Problems.throwIfAny(Planner.impossibilities(images) + Planner.strayLocks(images))
        var room = RestorePlan.Area.prelude + 0x2000 + estimate(images)
        if let early = host.early { room = RestorePlan.Area.prelude + 0x1000 + early.capacity }
        while true {
            var planner = try Planner(images, layers, host, shellJob, leavesStopped, room: room)
            planner.securityProfile = securityProfile
            planner.checkLabels()
            planner.refuseWhatWouldBeLost()
            planner.planVdsos()
            planner.composeTasks()
            planner.countDescriptors()
            if !planner.problems.isEmpty { return (planner.plan, planner.problems) }
            let used = RestorePlan.Area.prelude + 0x1000 + planner.plan.mailboxSize
            planner.orderOpenings()
            if used <= room {
                planner.closeArea()
                if let early = host.early { planner.plan.mailboxSize = early.capacity }
                return (planner.plan, [])
            }
            // Who is asked for another place has none in the process that is there already.
            if host.early != nil { return (planner.plan, []) }
            room = used
        }
    }

    /// About how many bytes the batches will take: some hundred for each thing in the images.
    private static func estimate(_ images: CheckpointImages) -> Int {
        192
            * images.tasks.reduce(0) { sum, task in
                sum + 512 + 4 * (task.memory?.vmas.count ?? 0) + 2 * (task.pagemap?.runs.count ?? 0)
                    + 2 * task.descriptors.count + 128 * task.threads.count
            }
    }

    private init(
        _ images: CheckpointImages, _ layers: PageLayers, _ host: RestoreHost, _ shellJob: Bool, _ leavesStopped: Bool,
        room: Int
    ) throws(Problems) {
        self.images = images
        endedByParent = Dictionary(grouping: images.tasks.filter { $0.state == .dead }, by: \.parent)
            .mapValues { $0.map(\.pid) }
        self.layers = layers
        self.host = host
        self.shellJob = shellJob
        self.leavesStopped = leavesStopped
        self.room = room
        names = (try? layers.directories.first?.fileNames()) ?? []
        described = Planner.describedNumbers(images)
        numbers = ServiceNumbers(
            images, occupied: host.openDescriptors, held: described.values.reduce(into: []) { $0.formUnion($1) })
        let vmas =
            images.tasks.compactMap(\.memory).flatMap(\.vmas).filter { !$0.kind.contains(.vsyscall) }
            + Planner.segmentExtents(images)
        guard
            let base = host.early?.base
                ?? AddressHole.find(of: UInt64(room), outside: vmas, from: host.lowestAddress)
        else {
            throw Problems(
                Problem(
                    .imageUnsuitable, "the tasks leave no \(room) bytes of address space free at a common place",
                    remedy: "Report this with the output of `apus show`"))
        }
        plan = RestorePlan(area: .init(base: base))
        plan.mailboxDescriptor = numbers.take()
    }

    /// The highest number that a process has something open under.
    var highestNumber: Int32 { numbers.highest }

    /// Takes a service descriptor.
    mutating func takeDescriptor() -> Int32 { numbers.take() }

    /// How many descriptors Apus will have at the most, and whether it may have as many.
    private mutating func countDescriptors() {
        let passing = plan.openings.reduce(0) { $0 + $1.resource.extraDescriptors }
        let atOnce = host.openDescriptors.count + 32 + numbers.taken.count + plan.tasks.count + passing
        let highest = max(numbers.highest, numbers.taken.max() ?? 0)
        plan.descriptorLimit = max(UInt64(atOnce), UInt64(highest) + 1)
        if let problem = FileLimits.problem(plan.descriptorLimit, host) { problems.append(problem) }
    }

    /// What goes on with one pipe stands together, so that few are held open in passing, and some things come last.
    private mutating func orderOpenings() {
        var places: [UInt32: Int] = [:]
        for (place, opening) in plan.openings.enumerated() {
            if let pipe = opening.resource.pipe, places[pipe] == nil { places[pipe] = place }
        }
        let ordered = plan.openings.enumerated().map { place, opening in
            (
                last: opening.resource.comesLast ? 1 : opening.resource.comesFirst ? -1 : 0,
                opening.resource.pipe.flatMap { places[$0] } ?? place, place,
                opening
            )
        }
        plan.openings = ordered.sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }.map(\.3)
    }

    /// Takes room in the mailbox.
    mutating func takeRoom(_ count: Int) -> Int {
        defer {
            plan.mailboxEnd += (count + 63) & ~63
            plan.mailboxSize = (plan.mailboxEnd + 4095) & ~4095
        }
        return plan.mailboxEnd
    }

    /// Gives a finished batch its place.
    mutating func placed(_ batch: Batch) -> RestorePlan.PlacedBatch {
        .init(batch, at: takeRoom(batch.encodedSize))
    }

    func address(_ place: Int) -> RemoteAddress { plan.area.mailbox + place }

    /// The service descriptor of a file of the images, opened by Apus.
    mutating func descriptor(_ key: FileTable.Key) -> Int32? {
        if let known = files[key] { return known }
        do throws(Problem) {
            let resource = try DescriptionPlans.resource(for: key, in: images, pages: layers)
            // What is fetched later on has no number of its own until then.
            let number = resource.needsProcesses ? takeDescriptor() : numbers.take(for: key)
            files[key] = number
            if resource.needsProcesses { noteLate(number) }
            plan.openings.append(
                .init(
                    descriptor: number, resource: resource, owner: DescriptionPlans.owner(of: key, in: images),
                    id: key.id))
            return number
        } catch {
            if !problems.contains(error) { problems.append(error) }
            return nil
        }
    }

    /// The service descriptor of a file, opened as a mapping needs it.
    mutating func descriptor(mapping file: FileTable.Key, flags: UInt32) -> Int32? {
        let key = MappedFile(file: file, flags: flags)
        if let known = mapped[key] { return known }
        do throws(Problem) {
            let resource = try DescriptionPlans.resource(for: file, in: images, pages: layers, mappedAs: flags)
            let number = takeDescriptor()
            mapped[key] = number
            mappedNames[number] = resource.description
            plan.openings.append(.init(descriptor: number, resource: resource, owner: nil))
            return number
        } catch {
            if !problems.contains(error) { problems.append(error) }
            return nil
        }
    }

    mutating func descriptor(of segment: PageLayers.Segment) -> Int32 {
        let key = PagesKey(layer: segment.layer, id: segment.pagesID)
        if let known = pages[key] { return known }
        let number = takeDescriptor()
        pages[key] = number
        let resource = PagesFile(segment, of: layers)
        plan.openings.append(.init(descriptor: number, resource: resource, owner: nil))
        return number
    }

    /// The service descriptor of a directory of images.
    mutating func descriptor(ofImages layer: Int) -> Int32 {
        if let known = folders[layer] { return known }
        let number = takeDescriptor()
        folders[layer] = number
        let resource = PagesFolder(layers.directories[layer])
        plan.openings.append(.init(descriptor: number, resource: resource, owner: nil))
        return number
    }

    mutating func descriptor(ofSharedMemory id: UInt64, size: UInt64) -> Int32 {
        if let known = sharedMemory[id] { return known }
        let number = takeDescriptor()
        sharedMemory[id] = number
        do throws(Problem) {
            let segments = try layers.segments(.shmemPagemap, id: id)
            let resource = SharedMemory(id: id, size: size, content: .init(segments: segments, layers: layers))
            plan.openings.append(.init(descriptor: number, resource: resource, owner: nil))
        } catch {
            problems.append(error)
        }
        return number
    }
}

extension Problem.Code {
    public static let imageUnsuitable: Self = "image-unsuitable"
}
