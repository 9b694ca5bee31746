internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// What the sessions and process groups of a tree have against its being carried: leaders, or other members, that are
/// outside of the tree, and shapes for which no history can be invented (`Family`).
struct FamilyObstacles {
    private let processes: [SurveyedProcess]
    private let pids: Set<Int32>
    private let shellJob: Bool
    private let sharing: TreeSharing
    private var outsiders: [Outsider]?

    /// A process outside of the tree.
    private struct Outsider {
        let pid: Int32
        let stat: TaskStat
        var text: String { "\(pid) (\(String(decoding: stat.name, as: UTF8.self)))" }
    }

    static func find(_ processes: [SurveyedProcess], _ sharing: TreeSharing, shellJob: Bool) -> [Problem] {
        var search = FamilyObstacles(
            processes: processes, pids: Set(processes.map(\.pid)), shellJob: shellJob, sharing: sharing, outsiders: nil)
        let problems = search.processes.compactMap { search.obstacle(of: $0) }
        return problems.isEmpty ? search.misfits() : problems
    }

    /// Whether the caller's session takes the place of the process's.
    private func joinsCaller(_ process: SurveyedProcess) -> Bool {
        guard shellJob, let root = processes.first, !pids.contains(root.stat.session) else { return false }
        return process.stat.session == root.stat.session
    }

    private func joinsCallersGroup(_ process: SurveyedProcess) -> Bool {
        joinsCaller(process) && !pids.contains(process.stat.processGroup)
            && process.stat.processGroup == processes.first?.stat.processGroup
    }

    private mutating func obstacle(of process: SurveyedProcess) -> Problem? {
        let (session, group) = (process.stat.session, process.stat.processGroup)
        if !pids.contains(session), !joinsCaller(process), let problem = sessionOutside(process, session) {
            return problem
        }
        if group == session || pids.contains(group) || joinsCallersGroup(process) { return nil }
        if let leader = leader(group) {
            return leadsOutside(
                process, "the leader of its process group, \(leader.text), is not in the tree",
                "Name a parent of both with --tree")
        }
        guard let other = findOutsiders().first(where: { $0.stat.processGroup == group }) else { return nil }
        return leadsOutside(
            process, "process \(other.text), which is not in the tree, is in its process group \(group), too",
            "Name a parent of both with --tree, or end the other")
    }

    private mutating func sessionOutside(_ process: SurveyedProcess, _ session: Int32) -> Problem? {
        let remedy =
            "Dump and restore with --shell-job: it then joins the session of the restore. Or start the program with"
            + " setsid"
        if session == 0 { return leadsOutside(process, "its session leader is in another pid namespace", remedy) }
        if let leader = leader(session) {
            return leadsOutside(process, "its session leader \(leader.text) is not in the tree", remedy)
        }
        guard let other = findOutsiders().first(where: { $0.stat.session == session }) else { return nil }
        return leadsOutside(
            process,
            "its session leader \(session) has ended, and process \(other.text), which is not in the tree, is in the"
                + " session, too", "Name a parent of both with --tree, or end the other. Or: \(remedy)")
    }

    private func leadsOutside(_ process: SurveyedProcess, _ summary: String, _ remedy: String) -> Problem {
        Problem(.leadsOutside, summary, object: process.object, remedy: remedy)
    }

    /// A process that lives outside of the tree.
    private func leader(_ pid: Int32) -> Outsider? {
        guard let stat = try? ProcessDirectory(pid).stat(), !stat.state.hasEnded else { return nil }
        return Outsider(pid: pid, stat: stat)
    }

    /// Looked for once, and only where a leader has gone.
    private mutating func findOutsiders() -> [Outsider] {
        if let outsiders { return outsiders }
        let entries = (try? Files.entries(of: "/proc")) ?? []
        let found = entries.compactMap { entry -> Outsider? in
            guard let pid = Int32(String(decoding: entry.name, as: UTF8.self)), !pids.contains(pid) else { return nil }
            return leader(pid)
        }
        outsiders = found
        return found
    }

    /// The processes of a tree that can have come about, but not so that Apus could repeat it.
    private func misfits() -> [Problem] {
        let members = processes.enumerated().map { index, process in
            Family.Member(
                pid: process.pid, parent: index == 0 ? 0 : process.stat.parent,
                group: joinsCallersGroup(process) ? Family.callers : process.stat.processGroup,
                session: joinsCaller(process) ? Family.callers : process.stat.session, hasEnded: process.isZombie)
        }
        do throws(Family.Misfits) {
            return SharingObstacles.find(processes, sharing, try Family(arranging: members))
        } catch {
            return error.all.map { misfit in
                let process = processes.first { $0.pid == misfit.pid }
                return Problem(
                    .unsupported, misfit.reason, object: process?.object ?? .init(pid: misfit.pid),
                    remedy: "No way is known to make it again there; end it, or dump the tree before it comes so far")
            }
        }
    }
}
