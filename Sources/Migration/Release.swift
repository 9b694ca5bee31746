internal import Diagnostics
internal import Images
internal import Linux
internal import Restore
internal import Synchronization
internal import SystemPackage
internal import Tracing

/// The moment in which a tree that has arrived is let run.
final class Release: Sendable {
    private let uuid: String
    private let wire: Wire
    private let journal: Journal
    private let images: ImageDirectory
    private let addresses: ComingAddresses
    /// Brings what follows when the tree runs; nil where nothing does.
    private let late: LateArrival?
    /// In which the tree is, and Apus itself is the init.
    private let namespace: NamespaceInit?
    /// Held from the decision until it is written down that the tree runs: who asks meanwhile waits.
    private let lock = Mutex<Held?>(nil)

    private struct Held {
        let lock: Journal.Lock?
        let entry: Journal.Entry
        let root: Int32
    }

    /// - Parameters:
    ///   - addresses: that come with the tree.
    ///   - late: brings what follows when it runs.
    init(
        _ uuid: String, _ wire: Wire, _ journal: Journal, _ images: ImageDirectory, _ addresses: ComingAddresses,
        late: LateArrival?, _ namespace: NamespaceInit?
    ) {
        self.namespace = namespace
        self.addresses = addresses
        self.late = late
        self.uuid = uuid
        self.wire = wire
        self.journal = journal
        self.images = images
    }

    /// Says that all is ready, and waits for the last word.
    ///
    /// - Throws: where it is not to be.
    func wait() throws(Problem) {
        let processes = try members()
        try wire.send(.ready)
        while true {
            // Scripts of the source may run meanwhile.
            guard let frame = try wire.receive(patience: Wire.longPatience) else {
                throw Problem(
                    .connectionLost, "the source has closed the connection",
                    remedy: "Nothing is left here; migrate again")
            }
            if frame.kind == .alive { continue }
            guard frame.kind == .release else {
                throw Problem(.interrupted, "the source has given up", remedy: "Nothing is left here; see what it says")
            }
            break
        }
        namespace?.outlive()
        let held = try journal.lock(uuid)
        if let record = try journal.record(uuid) {
            throw Problem(
                .interrupted,
                "the source has asked meanwhile, and was told that this tree will not run (\(record.state.rawValue))",
                remedy: "Nothing is left here; migrate again")
        }
        let record = Journal.Record(
            uuid: uuid, state: .releasing, pid: processes.first?.pid ?? 0, processes: processes, peer: wire.peer,
            command: [], addresses: addresses.record, isLate: late != nil)
        late?.keeper.take(record)
        let entry = try journal.write(record)
        Steps.take()
        do throws(Problem) { try addresses.settle() } catch {
            try journal.write(.init(uuid: uuid, state: .aborted, pid: 0, processes: [], peer: "", command: []))
            throw error
        }
        lock.withLock { $0 = Held(lock: held, entry: entry, root: record.pid) }
        Steps.take()
    }

    /// The processes of the tree, as who asks for them will see them: of a namespace its init, with which all of it ends.
    private func members() throws(Problem) -> [(pid: Int32, start: UInt64)] {
        if let namespace { return [namespace.outer] }
        return try images.messages(.pstree).compactMap { task in
            let pid = Int32(bitPattern: task.pid)
            return (try? ProcessDirectory(pid).stat()).map { (pid, $0.startTime) }
        }
    }

    /// It runs, whatever happens to Apus.
    func done() {
        guard let held = lock.withLock({ $0.take() }) else { return }
        held.entry.set(late == nil ? .released : .partial)
        Steps.take()
        addresses.show()
        // What cannot be told is asked for.
        try? wire.send(.released, namespace.map { ["init": .integer(Int64($0.outer.pid))] } ?? [:])
        Steps.take()
        late?.serve(over: wire, held.entry, root: held.root)
    }
}
