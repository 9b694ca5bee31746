internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The numbers of what tasks may share: memory, descriptors, working directories, signal handlers, namespaces.
struct TaskIdentities {
    private var memory = SharingIDs(.memory, first: 2)
    private var descriptors = SharingIDs(.descriptors, first: 2)
    private var fileSystem = SharingIDs(.fileSystemContext, first: 2)

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
    /// - Throws: `unsupported-object` where it shares its memory with another process, or its threads do not share with each
    ///   other.
    mutating func ids(of process: FrozenProcess, _ surveyed: SurveyedProcess) throws(Problem) -> TaskKobjIdsEntry {
        do {
            var ids = Self.own
            // Descriptors and directories may be shared; whether Apus can make that again is judged with the whole tree.
            let answer = try memory.id(of: process.eye)
            if answer.isShared { throw refusal(surveyed, "it shares its memory with another process") }
            ids.vmID = answer.id
            ids.filesID = try descriptors.id(of: process.eye).id
            ids.fsID = try fileSystem.id(of: process.eye).id
            // Who shares signal handlers shares memory (CLONE_SIGHAND of clone(2)), so nobody does.
            ids.sighandID = answer.id
            for thread in process.threads.dropFirst() {
                let sharesAll =
                    try Processes.compare(process.eye, thread.tid, .descriptors) == .same
                    && Processes.compare(process.eye, thread.tid, .fileSystemContext) == .same
                if !sharesAll {
                    throw refusal(
                        surveyed, "its thread \(thread.tid) has descriptors or a working directory of its own")
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

    private func refusal(_ surveyed: SurveyedProcess, _ summary: String) -> Problem {
        Problem(
            .unsupported, summary, object: surveyed.object,
            remedy: "Processes made by clone(2) with CLONE_VM cannot be carried yet")
    }
}
