internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What a process had and Apus cannot give, because Apus itself has less: found before anything is made.
struct HostRights {
    /// The capability sets of Apus.
    var capabilities: TaskStatus.Capabilities
    /// The resource limits of Apus, by their numbers.
    var limits: [Processes.Limit]

    /// This Apus's.
    static func current() -> HostRights? {
        let own = ProcessDirectory(Processes.current)
        guard let capabilities = try? own.status().capabilities else { return nil }
        let limits = (0..<Processes.limitCount).map { resource in
            (try? Processes.limit(resource)) ?? .init(soft: .max, hard: .max)
        }
        return HostRights(capabilities: capabilities, limits: limits)
    }

    /// What stands in the way.
    func problems(_ images: CheckpointImages) -> [Problem] {
        images.tasks.filter { $0.state != .dead }.flatMap { missingLimits($0) + missingCapabilities($0) }
    }

    /// What the processes will not be able to get back, in words: their bounding sets can only be as wide as Apus's.
    func losses(_ images: CheckpointImages) -> [String] {
        images.tasks.filter { $0.state != .dead }.compactMap { task in
            let wanted = task.threads.reduce(UInt64(0)) { $0 | Self.set($1.core.threadCore.creds.capBnd) }
            let missing = wanted & known & ~capabilities.bounding
            guard missing != 0 else { return nil }
            return "process \(task.pid) (\(task.task.commText)): programs that it executes can no longer gain"
                + " \(Self.names(missing)), which Apus has not in its own bounding set"
        }
    }

    /// Bits above those of this kernel are set in the bounding sets of newer ones alone.
    private var known: UInt64 { (1 << 41) - 1 }

    /// How many processes a user may have, and how many signals may wait, the kernel derives from the memory of the host
    /// (getrlimit(2)): no two hosts give the same. Where this one gives less, and Apus may not give more than it has, the
    /// processes get that.
    ///
    /// - Returns: what is otherwise than it was, in words.
    func lowerLimits(_ images: inout CheckpointImages) -> [String] {
        guard !raisesLimits else { return [] }
        var lowered: [String] = []
        for index in images.tasks.indices where images.tasks[index].state != .dead {
            for number in Self.derivedLimits where limits.indices.contains(number) {
                let entries = images.tasks[index].task.rlimits.rlimits
                guard entries.indices.contains(number), entries[number].max > limits[number].hard else { continue }
                var entry = entries[number]
                let words = "\(Self.limitNames[number]) \(limits[number].hard) and not \(entry.max)"
                entry.max = limits[number].hard
                entry.cur = min(entry.cur, entry.max)
                images.tasks[index].core.tc.rlimits.rlimits[number] = entry
                if !lowered.contains(words) { lowered.append(words) }
            }
        }
        return lowered.map { "this host gives less than that of the dump: the limit of \($0)" }
    }

    /// RLIMIT_NPROC and RLIMIT_SIGPENDING.
    private static let derivedLimits = [6, 11]

    private static let limitNames = [
        "CPU time", "file size", "data", "stack", "core size", "resident memory", "processes", "open files",
        "locked memory", "address space", "file locks", "pending signals", "message queues", "nice",
        "real-time priority", "real-time run time",
    ]

    /// CAP_SYS_RESOURCE.
    private var raisesLimits: Bool { capabilities.effective & 1 << 24 != 0 }

    private func missingLimits(_ task: TaskImages) -> [Problem] {
        guard !raisesLimits else { return [] }
        let names = Self.limitNames
        var above: [String] = []
        for (number, (limit, own)) in zip(task.task.rlimits.rlimits, limits).enumerated() where limit.max > own.hard {
            let wanted = limit.max == Processes.Limit.unlimited ? "unlimited" : "\(limit.max)"
            above.append("\(number < names.count ? names[number] : "limit \(number)") \(wanted) (Apus: \(own.hard))")
        }
        if above.isEmpty { return [] }
        return [
            Problem(
                .rightsMissing, "its hard limits are above those of Apus: \(above.joined(separator: ", "))",
                object: .init(pid: task.pid, process: task.task.commText),
                remedy: "Run Apus with CAP_SYS_RESOURCE, or raise the hard limits of the shell that it is started from"
                    + " (prlimit --pid $$)")
        ]
    }

    private func missingCapabilities(_ task: TaskImages) -> [Problem] {
        var missing: UInt64 = 0
        for thread in task.threads where thread.core.threadCore.hasCreds {
            let creds = thread.core.threadCore.creds
            missing |= Self.set(creds.capPrm) & ~capabilities.permitted
            missing |= Self.set(creds.capInh) & ~(capabilities.inheritable | capabilities.bounding)
        }
        guard missing & known != 0 else { return [] }
        return [
            Problem(
                .rightsMissing, "it had capabilities that Apus has not: \(Self.names(missing & known))",
                object: .init(pid: task.pid, process: task.task.commText),
                remedy: "Run Apus with them; in a container, add them to those of the container")
        ]
    }

    private static func set(_ words: [UInt32]) -> UInt64 {
        words.prefix(2).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(32 * $1.offset) }
    }

    private static func names(_ set: UInt64) -> String {
        (0..<64).filter { set & 1 << UInt64($0) != 0 }.map(CapabilityName.of).joined(separator: ", ")
    }
}

/// The names of capabilities (capabilities(7)), by their numbers.
enum CapabilityName {
    static func of(_ number: Int) -> String { number < names.count ? "CAP_" + names[number] : "capability \(number)" }

    private static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]
}

extension Problem.Code {
    static let rightsMissing: Self = "rights-missing"
}
