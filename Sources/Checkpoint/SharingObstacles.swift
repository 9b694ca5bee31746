internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// What processes share without being threads of one another (clone(2)), and cannot share again after a restore: their
/// memory; tables that reach out of the tree; tables of processes that have not come from one another.
enum SharingObstacles {
    /// - Parameter family: how the tree is to be made again.
    static func find(_ processes: [SurveyedProcess], _ family: Family) -> [Problem] {
        var found: [Problem] = []
        do throws(Errno) {
            found += try sharedMemory(processes)
            if let root = processes.first { found += try sharedWithParent(root) }
            found += try misfits(processes, family, "descriptors", .descriptors)
            found += try misfits(processes, family, "working directory", .fileSystemContext)
        } catch {
            // One of them has ended just now, or the kernel lacks kcmp(2): which the capture tells of.
            return []
        }
        return found
    }

    private static func refusal(_ process: SurveyedProcess, _ summary: String, _ remedy: String) -> Problem {
        Problem(.unsupported, summary, object: process.object, remedy: remedy)
    }

    private static func sharedMemory(_ processes: [SurveyedProcess]) throws(Errno) -> [Problem] {
        var identities = SharingIDs(.memory, first: 1)
        var owners: [UInt32: SurveyedProcess] = [:]
        var found: [Problem] = []
        for process in processes where !process.isZombie {
            let answer = try identities.id(of: process.eye)
            guard let owner = owners[answer.id] else {
                owners[answer.id] = process
                continue
            }
            // A child of vfork(2) borrows its parent's memory for a moment; the freeze waits for its end.
            if isInVfork(owner) || isInVfork(process) { continue }
            found.append(
                refusal(
                    process, "it shares its memory with process \(owner.pid) (\(owner.name)), and is no thread of it",
                    "Dump it before the program makes such a process (clone(2) with CLONE_VM)"))
        }
        return found
    }

    private static func isInVfork(_ process: SurveyedProcess) -> Bool {
        process.threads.contains { thread in
            (try? ProcessDirectory(process.pid, thread: thread).stat())?.state == .uninterruptible
        }
    }

    /// The one outside of the tree that most likely shares with it.
    private static func sharedWithParent(_ root: SurveyedProcess) throws(Errno) -> [Problem] {
        let parent = root.stat.parent
        guard parent > 0, !root.isZombie, (try? ProcessDirectory(parent).stat())?.state.hasEnded == false else {
            return []
        }
        let tables: [(String, Processes.Resource)] = [
            ("memory", .memory), ("descriptors", .descriptors), ("working directory", .fileSystemContext),
        ]
        var shared: [String] = []
        for (name, resource) in tables where try Processes.compare(root.eye, parent, resource) == .same {
            shared.append(name)
        }
        if shared.isEmpty { return [] }
        return [
            Problem(
                .leadsOutside,
                "it shares its \(shared.joined(separator: " and ")) with its parent \(parent), which is not in the tree",
                object: root.object, remedy: "Dump the parent with it: --tree \(parent)")
        ]
    }

    private static func misfits(
        _ processes: [SurveyedProcess], _ family: Family, _ what: String, _ resource: Processes.Resource
    ) throws(Errno) -> [Problem] {
        var identities = SharingIDs(resource, first: 1)
        var tables: [UInt32?] = []
        for process in processes {
            guard !process.isZombie else {
                tables.append(nil)
                continue
            }
            tables.append(try identities.id(of: process.eye).id)
        }
        do throws(Family.Misfits) {
            _ = try family.sharing(tables)
            return []
        } catch {
            return error.all.compactMap { misfit in
                processes.first { $0.pid == misfit.pid }.map {
                    refusal($0, "its \(what): \(misfit.reason)", "End one of the two before the dump")
                }
            }
        }
    }
}
