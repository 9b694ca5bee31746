internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Finds out which threads have restricted themselves by Landlock, and refuses them: their restrictions cannot be read,
/// and without them a program would be restored that may do more than it could.
///
/// Where the kernel has no Landlock nothing happens. Where it has, there is one ``Bystander`` for each user and group of
/// the tree, and one more call in the batch of each thread.
final class LandlockDomains {
    private struct Identity: Hashable {
        let user, group: UInt32
    }

    /// nil where none could be started.
    private var bystanders: [Identity: Bystander?] = [:]
    /// What could not be found out, for the log.
    private(set) var doubts: [String] = []

    /// - Parameter root: of a tree that runs yet: what its user needs is started at once.
    init(treeFrom root: Int32) {
        if let status = try? ProcessDirectory(root).status() { _ = bystander(of: status) }
    }

    /// The one that a thread is to look at; nil where there is nothing to find out, or no way to.
    func bystander(of status: TaskStatus) -> Bystander? {
        guard Landlock.isOn else { return nil }
        let identity = Identity(user: status.uid.real, group: status.gid.real)
        if let known = bystanders[identity] { return known }
        let new: Bystander?
        do throws(Errno) {
            new = try Bystander(user: identity.user, group: identity.group)
        } catch {
            new = nil
            doubts.append(
                "whether processes of user \(identity.user), group \(identity.group) are restricted by Landlock"
                    + " cannot be found out: no process can be started for them (\(error.name))")
        }
        bystanders[identity] = .some(new)
        return new
    }

    /// What an answer means.
    ///
    /// - Parameter layers: asks a child of the thread for what it could enter yet; nil where no child can be asked.
    /// - Throws: `unsupported` where the thread is in a domain.
    func judge(
        _ answer: Landlock.Answer?, _ status: TaskStatus, _ object: Problem.Object,
        layers: () throws(Problem) -> Landlock.Answer?
    ) throws(Problem) {
        switch answer {
        case nil, .free: return
        case .unknown(let error):
            try settle(try layers(), status, "the system call fails (\(error.name))", object)
        case .forbidden:
            guard let reason = otherReason(status) else { throw refusal(status, object) }
            try settle(try layers(), status, reason, object)
        }
    }

    private func settle(
        _ answer: Landlock.Answer?, _ status: TaskStatus, _ reason: String, _ object: Problem.Object
    ) throws(Problem) {
        switch answer {
        case .free: return
        case .forbidden: throw refusal(status, object)
        case nil, .unknown:
            doubts.append(
                "\(object.description): whether thread \(status.pid) is restricted by Landlock cannot be found out, as"
                    + " \(reason): if it is, it comes back without these restrictions")
        }
    }

    private func refusal(_ status: TaskStatus, _ object: Problem.Object) -> Problem {
        Problem(
            .unsupported,
            "thread \(status.pid) is restricted by Landlock, whose rules the kernel shows to nobody: it would come"
                + " back without them",
            object: object,
            remedy: "Start the program without its Landlock sandbox, or dump it before it enters one")
    }

    /// What else may forbid a thread to look at its bystander.
    private func otherReason(_ status: TaskStatus) -> String? {
        let thread = ProcessDirectory(status.threadGroup, thread: status.pid)
        if let module = SecurityModule.ofHost, let label = module.label(of: thread) {
            return "\(module.name), which has it run as \(label), may be what forbids it to look at other processes"
        }
        let own = try? ProcessDirectory(path: "/proc/self").namespaces()["user"]
        if let own, let theirs = try? thread.namespaces()["user"], theirs != own {
            return "it is in another user namespace"
        }
        guard let bystander = bystander(of: status), let seen = try? ProcessDirectory(bystander.pid).status(),
            !seen.state.hasEnded, seen.capabilities.permitted == 0, seen.uid.saved == status.uid.real
        else { return "the process that it was to look at has gone" }
        return nil
    }
}
