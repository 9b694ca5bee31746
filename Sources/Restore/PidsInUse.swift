internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Whether the pids, thread ids, session and group numbers of a plan are free here.
///
/// A number is taken not only by a process or a thread that has it as its id, but also as long as anybody is in the
/// session or the process group of that number, whose leader may have gone long ago.
struct PidsInUse {
    private var sessions: [Int32: Int32] = [:]
    private var groups: [Int32: Int32] = [:]

    /// One problem for each that is taken. One taken by a zombie, which was killed a moment ago, or by a thread of Apus is waited
    /// for a while.
    ///
    /// - Parameter own: a pid that a process of Apus' own making has, which becomes the one of the plan.
    static func problems(_ plan: RestorePlan, but own: Int32? = nil) -> [Problem] {
        let patience = Deadline(nanoseconds: 3_000_000_000)
        let others = PidsInUse()
        var found: [Problem] = []
        for task in plan.tasks {
            for thread in task.threads {
                let tid = thread.tid
                if tid == own { continue }
                while let holder = others.holder(of: tid), holder.isPassing, !patience.isPast {
                    ChildSignal.wait(atMost: 20_000_000)
                }
                if let holder = others.holder(of: tid) { found.append(problem(tid, task.name, holder)) }
            }
        }
        return found
    }

    /// The problem of one pid, which the kernel has refused.
    static func problem(_ pid: Int32, _ name: String) -> Problem {
        problem(pid, name, PidsInUse().holder(of: pid))
    }

    /// All pids of processes.
    static func all() -> [Int32] {
        guard let entries = try? Files.entries(of: FilePath("/proc")) else { return [] }
        return entries.compactMap { Int32(String(decoding: $0.name, as: UTF8.self)) }
    }

    private init() {
        for pid in Self.all() {
            guard let stat = try? ProcessDirectory(pid).stat() else { continue }
            sessions[stat.session] = pid
            groups[stat.processGroup] = pid
        }
    }

    private static func problem(_ pid: Int32, _ name: String, _ holder: Holder?) -> Problem {
        Problem(
            .pidInUse, "pid \(pid) is in use here" + (holder.map { " \($0.text)" } ?? ""),
            object: .init(pid: pid, process: name),
            remedy: (holder?.way ?? .ending).remedy)
    }

    private struct Holder {
        /// What makes the number free.
        enum Way {
            case ending, elsewhere, again, none
            /// Of a zombie, by its parent.
            case waiting(Int32)

            var remedy: String {
                let elsewhere = "ive the tree a pid namespace of its own with --pid-policy new-namespace"
                switch self {
                case .ending: return "End that process, or g\(elsewhere)"
                case .elsewhere: return "It cannot be ended: g\(elsewhere)"
                case .waiting(let parent):
                    return
                        "Its parent, process \(parent), has to take note of its end (wait4(2)), or to end itself. Or g\(elsewhere)"
                case .none:
                    return "A tree with an init of its own, pid 1, cannot be restored yet: run what it runs without one"
                case .again: return "Run the same command again: Apus has another number then. Or g\(elsewhere)"
                }
            }
        }

        var text: String
        /// It may have gone in a moment.
        var isPassing = false
        var way = Way.ending
    }

    private func holder(of pid: Int32) -> Holder? {
        if let stat = try? ProcessDirectory(pid).stat() {
            let name = String(decoding: stat.name, as: UTF8.self)
            if stat.state == .zombie {
                return Holder(
                    text: "by \(name), which has ended but was not waited for", isPassing: true,
                    way: .waiting(stat.parent))
            }
            if stat.isKernelThread { return Holder(text: "by \(name), a thread of the kernel", way: .elsewhere) }
            let group = (try? ProcessDirectory(pid).status().threadGroup) ?? pid
            if group == Processes.current {
                // Most of its threads are there for a moment.
                return Holder(text: "by Apus itself", isPassing: pid != group, way: pid == 1 ? .none : .again)
            }
            if group != pid {
                let process = Self.name(of: group).map { ", \($0)" } ?? ""
                return Holder(text: "by \(name), a thread of process \(group)\(process)")
            }
            return Holder(text: "by \(name)")
        }
        for (numbers, what) in [(sessions, "session"), (groups, "process group")] {
            guard let member = numbers[pid], let stat = try? ProcessDirectory(member).stat(),
                stat.session == pid || stat.processGroup == pid
            else { continue }
            let name = String(decoding: stat.name, as: UTF8.self)
            return Holder(
                text: "as the \(what) of process \(member), \(name)", isPassing: stat.state == .zombie,
                way: stat.isKernelThread ? .elsewhere : .ending)
        }
        return nil
    }

    private static func name(of pid: Int32) -> String? {
        (try? ProcessDirectory(pid).stat()).map { String(decoding: $0.name, as: UTF8.self) }
    }
}
