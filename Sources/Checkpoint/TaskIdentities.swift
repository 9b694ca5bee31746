internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The numbers of what tasks may share: memory, descriptors, working directories, signal handlers, namespaces.
struct TaskIdentities {
    private let sharing: TreeSharing

    /// - Parameter sharing: what the frozen processes have in common.
    init(_ sharing: TreeSharing) { self.sharing = sharing }

    /// Those of Apus' own: all the namespaces that a tree shares with it.
    static var own: TaskKobjIdsEntry {
        var ids = TaskKobjIdsEntry()
        (ids.vmID, ids.filesID, ids.fsID, ids.sighandID) = (1, 1, 1, 1)
        (ids.pidNsID, ids.netNsID, ids.ipcNsID, ids.utsNsID) = (1, 2, 3, 4)
        (ids.timeNsID, ids.mntNsID, ids.userNsID, ids.cgroupNsID) = (5, 6, 7, 8)
        return ids
    }

    /// The numbers of a frozen process.
    ///
    /// Whether Apus can have processes share the same again is judged with the whole tree (`SharingObstacles`).
    ///
    /// - Parameter index: its place in the tree.
    /// - Throws: `unsupported-object` where its threads do not share with each other.
    func ids(
        of process: FrozenProcess, _ surveyed: SurveyedProcess, at index: Int
    ) throws(Problem) -> TaskKobjIdsEntry {
        do {
            var ids = Self.own
            ids.vmID = try number(.memory, process, index)
            ids.filesID = try number(.descriptors, process, index)
            ids.fsID = try number(.fileSystemContext, process, index)
            ids.sighandID = try number(.signalHandlers, process, index)
            for thread in process.threads.dropFirst() {
                let sharesAll =
                    try Processes.compare(process.eye, thread.tid, .descriptors) == .same
                    && Processes.compare(process.eye, thread.tid, .fileSystemContext) == .same
                if !sharesAll {
                    throw Problem(
                        .unsupported, "its thread \(thread.tid) has descriptors or a working directory of its own",
                        object: surveyed.object, remedy: "Threads with a table of their own cannot be carried yet")
                }
            }
            return ids
        } catch let error as Problem {
            throw error
        } catch let error as Errno {
            throw Problem(
                .objectUnreadable, "it cannot be told what it shares with others", object: surveyed.object,
                cause: .init(error, attempted: "kcmp"), remedy: "The kernel needs CONFIG_KCMP")
        } catch {
            preconditionFailure("no other error is thrown above")
        }
    }

    /// Above those of Apus, which are 1.
    private func number(
        _ resource: Processes.Resource, _ process: FrozenProcess, _ index: Int
    ) throws(Errno) -> UInt32 {
        if let number = sharing.numbers(resource)[index] { return number + 1 }
        // The kernel has told nothing: it says why not.
        _ = try Processes.compare(process.eye, process.eye, resource)
        throw .noSuchProcess
    }
}
