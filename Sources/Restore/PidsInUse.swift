internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// Whether the pids and thread ids of a plan are free here.
enum PidsInUse {
    /// One problem for each that is taken. One taken by a zombie is waited for a while: it was killed a moment ago.
    static func problems(_ plan: RestorePlan) -> [Problem] {
        let patience = Deadline(nanoseconds: 3_000_000_000)
        var found: [Problem] = []
        for task in plan.tasks {
            for thread in task.threads {
                while let holder = holder(of: thread.tid), holder.isZombie, !patience.isPast {
                    ChildSignal.wait(atMost: 20_000_000)
                }
                if holder(of: thread.tid) != nil { found.append(problem(thread.tid, task.name)) }
            }
        }
        return found
    }

    /// The problem of one pid.
    static func problem(_ pid: Int32, _ name: String) -> Problem {
        let holder = holder(of: pid)
        return Problem(
            .pidInUse,
            holder.map { holder in
                "pid \(pid) is in use here by \(holder.name)"
                    + (holder.isZombie ? ", which has ended but was not waited for" : "")
            } ?? "pid \(pid) is in use here, as a process group or session",
            object: .init(pid: pid, process: name),
            remedy: "End that process, or restore in a pid namespace of its own:"
                + " `unshare --pid --fork --mount-proc apus restore ...`")
    }

    private struct Holder {
        var name: String
        var isZombie: Bool
    }

    private static func holder(of pid: Int32) -> Holder? {
        guard let stat = try? ProcessDirectory(pid).stat() else { return nil }
        return Holder(name: String(decoding: stat.name, as: UTF8.self), isZombie: stat.state == .zombie)
    }
}

extension Problem.Code {
    static let pidInUse: Self = "pid-in-use"
}
