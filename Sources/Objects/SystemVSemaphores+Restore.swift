public import Diagnostics
public import Images
public import Linux
internal import SystemPackage
internal import Tracing

/// A set of System V semaphores with its values, made by Apus with the id, the key and the owner that it had.
///
/// Outside of a namespace of its own the set of a dumped tree outlives the tree, and the end of the tree may have changed its values (SEM_UNDO).
/// One that is there with the same id, key and size, and that nobody else uses, is taken for that one and gets the
/// values of the images: the tree goes on from the dump.
public struct SystemVSemaphores: Resource {
    private let entry: IpcSemEntry
    private let values: [UInt16]
    private let ownNamespace: Bool

    /// - Parameter ownNamespace: it is made in a namespace of the tree's own, in which there is nothing else.
    public init(_ image: SemaphoreImage, ownNamespace: Bool) {
        entry = image.entry
        values = image.values
        self.ownNamespace = ownNamespace
    }

    private var id: Int32 { Int32(bitPattern: entry.desc.id) }
    private var key: Int32 { Int32(bitPattern: entry.desc.key) }

    public var description: String {
        "set \(entry.desc.id) of \(values.count) System V semaphores"
            + (key == 0 ? "" : " with the key 0x\(String(entry.desc.key, radix: 16))")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if ownNamespace { return [] }
        let present = (try? Procfs.live.semaphoreSets()) ?? []
        if let same = present.first(where: { $0.id == id }) {
            if !isSame(same) { return [taken("another one has its id", "Remove that one: `ipcrm -s \(id)`")] }
            if !site.seesOutside { return [taken(Self.unseen, "Remove it, if nobody does: `ipcrm -s \(id)`")] }
            let users = (0..<values.count).map { (try? SystemV.lastUser(ofSemaphore: $0, in: id)) ?? 0 }
            if let user = SystemVUse.living(Set(users)) {
                return [taken("it is there, and process \(user) uses it", "End that process")]
            }
            let waiting = (0..<values.count).contains { (try? SystemV.waiters(forSemaphore: $0, in: id)) ?? 0 > 0 }
            return waiting ? [taken("it is there, and somebody waits for it", "End the processes that use it")] : []
        }
        if key != 0, let other = present.first(where: { $0.key == key }) {
            return [taken("another one, \(other.id), has its key", "Remove that one: `ipcrm -s \(other.id)`")]
        }
        return []
    }

    private static let unseen = "it is there, and who uses it cannot be seen from a new pid namespace"

    private func isSame(_ other: SemaphoreSet) -> Bool {
        other.id == id && other.key == key && other.count == values.count
    }

    private func taken(_ why: String, _ remedy: String) -> Problem {
        Problem(
            .systemVInUse, "\(self) cannot be made: \(why)",
            remedy: remedy + ", or restore the tree in another IPC namespace (`unshare --ipc`)")
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let present = ((try? Procfs.live.semaphoreSets()) ?? []).contains(where: isSame)
            if present {
                try site.segments.keepValues(of: id, count: values.count)
            } else {
                try SystemV.makeSemaphores(
                    key: key, id: id, count: values.count, permissions: 0o600, uid: entry.desc.cuid,
                    gid: entry.desc.cgid)
                // In a namespace of the tree's own it goes with that.
                if site.segments.home == nil { site.segments.madeSemaphores.append(id) }
            }
            try SystemV.setSemaphores(id, values)
            try SystemV.setOwner(
                ofSemaphores: id, uid: entry.desc.uid, gid: entry.desc.gid, permissions: entry.desc.mode)
            return try Files.open("/dev/null", .readOnly)
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "semget, semctl"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN), and see that kernel.sem allows it (`ipcs -sl`)")
        }
    }
}

/// What tasks have to do so that a set is as it was: what images say of who used it.
public struct SemaphoreTraits: Sendable, Equatable {
    /// By semaphore; 0 for nobody. Empty where nothing is known, as in images of CRIU.
    public var users: [Int32] = []
    public var undo: [SemaphoreUndo] = []

    /// - Returns: nil where no kernel could have such.
    public init?(of image: SemaphoreImage, _ supplement: Supplement) {
        let id = Int32(bitPattern: image.entry.desc.id)
        guard let told = supplement[.semaphores, image.entry.desc.id] else { return }
        for user in told["users"]?.elements ?? [] {
            guard let pid = user.bits.flatMap({ Int32(exactly: $0) }) else { return nil }
            users.append(pid)
        }
        guard users.count == image.values.count else { return nil }
        for one in told["undo"]?.elements ?? [] {
            guard let pid = one["pid"]?.bits.flatMap({ Int32(exactly: $0) }),
                let index = one["semaphore"]?.bits.flatMap({ Int(exactly: $0) }), image.values.indices.contains(index),
                let bits = one["add"]?.bits, let adjustment = Int16(exactly: Int64(bitPattern: bits)), adjustment != 0
            else { return nil }
            undo.append(.init(set: id, index: index, pid: pid, adjustment: Int(adjustment)))
        }
    }

    /// Operations of semop(2) that give a task what it has to do at its end.
    public func undo(of pid: Int32, values: [UInt16]) -> [[UInt8]] {
        undo.filter { $0.pid == pid }.flatMap { $0.calls(value: Int(values[$0.index])) }
    }

    /// Operations that make a task the last who used the semaphores that it was the last to use.
    public func signatures(of pid: Int32, values: [UInt16]) -> [[UInt8]] {
        users.indices.filter { users[$0] == pid }.map { SemaphoreUndo.signature($0, value: Int(values[$0])) }
    }
}

extension Problem.Code {
    /// Semaphores or a queue of System V that are in the images cannot be made: others are there.
    public static let systemVInUse: Self = "system-v-in-use"
}
