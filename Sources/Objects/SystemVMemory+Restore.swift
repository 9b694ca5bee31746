internal import CLinux
public import Diagnostics
internal import Glibc
public import Images
public import Linux
internal import SystemPackage

/// A segment of System V shared memory: made by Apus with the id, the key, the owner and the content that it had, and
/// attached by the tasks themselves.
///
/// Outside of a namespace of its own, the segment of a dumped tree outlives the tree. A segment that is there with the
/// same id, key and size, and that nobody has attached, is taken for that one and gets the content of the images: the
/// tree continues from the dump, and whatever else lies in memory that nobody uses is no later truth.
/// One that somebody has attached is refused.
public struct SystemVSegment: Resource {
    private let entry: IpcShmEntry
    private let content: Content
    private let ownNamespace: Bool

    /// Where the content stands.
    public enum Content: Sendable {
        /// In pages files.
        case pages(StoredMemory)
        /// In the image itself.
        case image(ImageFile, Range<UInt64>)
    }

    /// - Parameter ownNamespace: it is made in a namespace of the tree's own, in which there is nothing else.
    public init(_ entry: IpcShmEntry, content: Content, ownNamespace: Bool) {
        self.entry = entry
        self.content = content
        self.ownNamespace = ownNamespace
    }

    private var id: Int32 { Int32(bitPattern: entry.desc.id) }
    private var key: Int32 { Int32(bitPattern: entry.desc.key) }
    private var isRemoved: Bool { entry.desc.mode & SharedSegment.removed != 0 }

    public var description: String {
        "System V shared memory \(entry.desc.id)"
            + (key == 0 ? "" : " with the key 0x\(String(entry.desc.key, radix: 16))")
            + " of \(entry.size) bytes"
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if entry.hasHugetlbFlag && entry.hugetlbFlag != 0 {
            return [
                Problem(
                    .objectUnsupported, "the images hold System V shared memory of huge pages",
                    remedy: "Restore these images with CRIU")
            ]
        }
        if ownNamespace { return [] }
        let present = (try? Procfs.live.sharedSegments()) ?? []
        if let same = present.first(where: { $0.id == id }) {
            if same.attached > 0 {
                return [taken("it is there, and attached \(same.attached) times", "End the processes that use it")]
            }
            return isSame(same) ? [] : [taken("another one has its id", "Remove that one: `ipcrm -m \(id)`")]
        }
        if key != 0 && !isRemoved, let other = present.first(where: { $0.key == key }) {
            return [taken("another one, \(other.id), has its key", "Remove that one: `ipcrm -m \(other.id)`")]
        }
        return []
    }

    private func isSame(_ other: SharedSegment) -> Bool {
        !isRemoved && other.id == id && other.key == key && other.size == entry.size
    }

    private func taken(_ why: String, _ remedy: String) -> Problem {
        Problem(
            .segmentInUse, "\(self) cannot be made: \(why)",
            remedy: remedy + ", or restore the tree in another IPC namespace (`unshare --ipc`)")
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            try makeUnlessThere(site)
            let attachment = try SystemV.attach(id, size: entry.size)
            try fill(attachment.range)
            if entry.desc.mode & SharedSegment.locked != 0 { try SystemV.lock(id) }
            try SystemV.setOwner(id, uid: entry.desc.uid, gid: entry.desc.gid, permissions: entry.desc.mode)
            // From here on it lives as long as it is attached: by Apus, until the tasks have attached it.
            if isRemoved { try SystemV.remove(id) }
            site.segments.attached.append(AttachedSegment(attachment))
            return try Files.open("/dev/null", .readOnly)
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made",
                cause: .init(error, attempted: "shmget, shmat, shmctl"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN), and see that kernel.shmmax, shmall and shmmni allow it")
        }
    }

    private func makeUnlessThere(_ site: RestoreSite) throws(Errno) {
        let present = (try? Procfs.live.sharedSegments()) ?? []
        if present.contains(where: { isSame($0) && $0.attached == 0 }) { return }
        // A key that was given up by the removal may be another's by now.
        let key = isRemoved && present.contains { $0.key == self.key } ? 0 : self.key
        try SystemV.make(
            key: key, id: id, size: entry.size, permissions: 0o600, uid: entry.desc.cuid, gid: entry.desc.cgid)
        // In a namespace of the tree's own it goes with that.
        if site.segments.home == nil { site.segments.made.append(id) }
    }

    private func fill(_ range: Range<UInt64>) throws(Errno) {
        let name = String(range.lowerBound, radix: 16) + "-" + String(range.upperBound, radix: 16)
        let file = try Files.open(FilePath("/proc/self/map_files/\(name)"), .readWrite)
        try Files.punchHole(file.raw, 0..<(range.upperBound - range.lowerBound))
        switch content {
        case .pages(let pages): try pages.fill(file.raw)
        case .image(let image, let range):
            let size: UInt64 = 4 << 20
            var done = range.lowerBound
            while done < range.upperBound {
                let count = min(size, range.upperBound - done)
                let bytes = try Files.read(image.descriptor, count: Int(count), at: done)
                if bytes.count < Int(count) { throw .ioError }
                try Files.write(file.raw, bytes, at: done - range.lowerBound)
                done += count
            }
        }
    }
}

/// An IPC namespace for the tree: Apus enters it before the first process is made, and leaves it when the tree stands.
public struct IPCNamespace: Resource {
    private let settings: IpcVarEntry?

    public init(_ settings: IpcVarEntry?) { self.settings = settings }

    public var description: String { "a new IPC namespace" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            site.segments.home = SharedDescriptor(try Files.open("/proc/self/ns/ipc", .readOnly))
            try SystemV.enterNewNamespace()
            for (name, value) in values { try set(FilePath("/proc/sys").appending(name), value) }
            return try Files.open("/proc/self/ns/ipc", .readOnly)
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made",
                cause: .init(error, attempted: "unshare(CLONE_NEWIPC), write to /proc/sys/kernel"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN)")
        }
    }

    /// Only what is different is written: there may be no right to what is not needed.
    private func set(_ path: FilePath, _ value: String) throws(Errno) {
        let now = (try? Files.contents(of: path)) ?? []
        let words = now.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a }.map { String(decoding: $0, as: UTF8.self) }
        if words.joined(separator: " ") == value { return }
        let file = try Files.open(path, .writeOnly)
        try Files.write(file.raw, Array(value.utf8))
    }

    private var values: [(String, String)] {
        guard let settings else { return [] }
        var values = [
            ("kernel/msgmax", "\(settings.msgCtlmax)"), ("kernel/msgmnb", "\(settings.msgCtlmnb)"),
            ("kernel/msgmni", "\(settings.msgCtlmni)"), ("kernel/shmmax", "\(settings.shmCtlmax)"),
            ("kernel/shmall", "\(settings.shmCtlall)"), ("kernel/shmmni", "\(settings.shmCtlmni)"),
            ("kernel/shm_rmid_forced", "\(settings.shmRmidForced)"),
            ("fs/mqueue/queues_max", "\(settings.mqQueuesMax)"), ("fs/mqueue/msg_max", "\(settings.mqMsgMax)"),
            ("fs/mqueue/msgsize_max", "\(settings.mqMsgsizeMax)"),
        ]
        if settings.semCtls.count == 4 {
            values.append(("kernel/sem", settings.semCtls.map { "\($0)" }.joined(separator: " ")))
        }
        if settings.hasMqMsgDefault { values.append(("fs/mqueue/msg_default", "\(settings.mqMsgDefault)")) }
        if settings.hasMqMsgsizeDefault { values.append(("fs/mqueue/msgsize_default", "\(settings.mqMsgsizeDefault)")) }
        return values
    }
}

/// What Apus has made and attached of System V shared memory.
struct SegmentsAtWork {
    /// Segments of Apus' own namespace that go again if the restore fails.
    var made: [Int32] = []
    var madeSemaphores: [Int32] = []
    var madeQueues: [Int32] = []
    /// What sets and queues that were there had.
    var changedSemaphores: [(id: Int32, values: [UInt16])] = []
    var changedQueues: [(id: Int32, messages: [MessageQueue.Message])] = []
    /// Queues whose limits are yet to be set.
    var unlimited: [IpcMsgEntry] = []
    var attached: [AttachedSegment] = []
    /// The IPC namespace of Apus, while it is in that of the tree.
    var home: SharedDescriptor?

    /// Detaches everything and goes home.
    mutating func leave() {
        attached = []
        unlimited = []
        if let home { try? SystemV.enter(home.descriptor.raw) }
        home = nil
    }

    mutating func withdraw() {
        leave()
        for id in made { try? SystemV.remove(id) }
        made = []
        withdrawSystemV()
    }
}

/// Attachments cannot be copied, and arrays hold what can.
final class AttachedSegment {
    private let attachment: SystemV.Attachment
    init(_ attachment: consuming SystemV.Attachment) { self.attachment = attachment }
}

extension RestoreSite {
    /// Takes back what outlives Apus and the tasks.
    public func withdraw() {
        segments.withdraw()
        withdrawQueues()
        withdrawTerminals()
        givenPipes.withdraw()
        copies.withdraw()
    }

    /// The tree runs: what was made is its own, and what was made for it alone by the dump goes.
    public func commit() {
        segments.made = []
        segments.forgetSystemV()
        forgetQueues()
        changedTerminals = [:]
        givenPipes.commit()
        copies.commit()
        for placing in placings.values {
            if let loss = placing.finish() { choices.warn(loss) }
        }
        placings = [:]
        for path in namesToRemove { try? Files.remove(path) }
        namesToRemove = []
    }
}

extension Problem.Code {
    /// A segment of System V shared memory has the id or the key of one in the images.
    public static let segmentInUse: Self = "segment-in-use"
}
