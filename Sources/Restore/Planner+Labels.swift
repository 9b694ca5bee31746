internal import CLinux
internal import Diagnostics
internal import Images
internal import Objects
internal import SystemPackage
internal import Tracing

/// What the security module of the host has a thread run as.
extension Planner {
    /// What a thread is to run as; nil for nothing, which is unconfined.
    private func label(_ creds: CredsEntry) -> String? {
        if let securityProfile { return securityProfile.label == "unconfined" ? nil : securityProfile.label }
        return creds.hasLsmProfile && !creds.lsmProfile.isEmpty ? creds.lsmProfile : nil
    }

    /// Before anything is made: whether this host can give the tasks their labels.
    mutating func checkLabels() {
        if let securityProfile, securityProfile.module != host.securityModule {
            return problems.append(
                Problem(
                    .rightsMissing,
                    "--lsm-profile names \(securityProfile.module.name), which this host "
                        + (host.securityModule.map { "has not: it has \($0.name)" } ?? "has not, nor any other"),
                    remedy:
                        "Leave --lsm-profile out, or turn \(securityProfile.module.name) on (see /sys/kernel/security/lsm)"
                ))
        }
        var told: Set<String> = []
        for task in images.tasks {
            for thread in task.threads where thread.core.threadCore.hasCreds {
                guard let label = label(thread.core.threadCore.creds) else {
                    noteConfinement(of: task)
                    continue
                }
                if told.insert(label).inserted { check(label, of: task) }
            }
        }
    }

    private mutating func check(_ label: String, of task: TaskImages) {
        let module = SecurityModule(images.inventory.lsmtype)
        guard let own = host.securityModule, securityProfile != nil || module == nil || module == own else {
            let had = module?.name ?? "a security module"
            return note(
                "process \(task.pid) (\(task.task.commText)) ran under \(had) as \(label), and this host has "
                    + (host.securityModule.map { "\($0.name) in its place" } ?? "no such security module")
                    + ": it runs without that restriction")
        }
        guard own == .appArmor, let loaded = host.securityProfiles else { return }
        // Of another namespace of policies only its own view tells.
        let missing = label.split(separator: "//&", omittingEmptySubsequences: true).map(String.init)
            .filter { !$0.hasPrefix(":") && $0 != "unconfined" && !loaded.contains($0) }
        guard let name = missing.first else { return }
        problems.append(
            Problem(
                .rightsMissing, "it ran under the AppArmor profile \(name), which is not loaded on this host",
                object: .init(pid: task.pid, process: task.task.commText),
                remedy: "Load it (apparmor_parser -a /etc/apparmor.d/...), or name another one with"
                    + " --lsm-profile apparmor:NAME (apparmor:unconfined for none)"))
    }

    /// A task that was not confined becomes so where Apus itself is: it can only be told.
    private mutating func noteConfinement(of task: TaskImages) {
        guard host.securityModule == .appArmor, let own = host.securityLabel else { return }
        note("process \(task.pid) (\(task.task.commText)) runs under the AppArmor profile of Apus, \(own), from now on")
    }

    /// Whether the label of a thread can be given here and is another than that of Apus, which it has so far.
    private func wanted(_ creds: CredsEntry) -> (label: String, module: SecurityModule)? {
        guard let own = host.securityModule, let label = label(creds), label != host.securityLabel else { return nil }
        let module = SecurityModule(images.inventory.lsmtype)
        return securityProfile != nil || module == nil || module == own ? (label, own) : nil
    }

    /// The file has to be found by its name: not any more where the root directory is another.
    private func mustBeEarly(_ task: TaskImages) -> Bool {
        guard let fs = task.fs, let root = images.files.regular(fs.rootID) else { return false }
        return root.path.string != "/"
    }

    /// For the whole process. SELinux lets only a process of one thread change its label.
    func composeEarlyLabel(_ task: TaskImages, in batch: inout Batch) {
        guard let creds = task.threads.first?.core.threadCore.creds else { return }
        if let (label, module) = wanted(creds), module == .seLinux || mustBeEarly(task) {
            compose(label, module, in: &batch)
        }
    }

    /// For one thread, and as late as can be: what AppArmor does not allow the program, it does not allow Apus either who
    /// makes it. From unconfined to a profile is allowed with no_new_privs, too.
    func composeLabel(_ thread: ThreadImages, of task: TaskImages, in batch: inout Batch) {
        let creds = thread.core.threadCore.creds
        if host.securityModule == .seLinux, creds.hasLsmSockcreate, !creds.lsmSockcreate.isEmpty {
            write(
                creds.lsmSockcreate, to: "/proc/thread-self/attr/sockcreate", for: "set the label of its sockets",
                losing: "thread \(thread.tid) has not its label of new sockets, \(creds.lsmSockcreate)", in: &batch)
        }
        guard let (label, module) = wanted(creds), module == .appArmor, !mustBeEarly(task) else { return }
        compose(label, module, in: &batch)
    }

    private func compose(_ label: String, _ module: SecurityModule, in batch: inout Batch) {
        write(
            module.command(for: label), to: "/proc/thread-self/\(module.file)",
            for: "have it run under \(module.name) as \(label)", losing: nil, in: &batch)
    }
}
