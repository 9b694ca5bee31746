import Glibc

/// All that /proc tells of the tasks of a tree and that must be the same after a restore, as text.
struct ProcessSnapshot {
    /// By process or thread, then by what is told.
    private(set) var sections: [String: [String: String]] = [:]

    /// - Parameter terminal: the tree is a job of a terminal, which is another one after the restore.
    init(of world: World, root: Int32, terminal: Bool = false) {
        var names = ObjectNames()
        for pid in Self.tree(world.proc, root) {
            let directory = "\(world.proc)/\(pid)"
            let threads = SystemTests.names(in: "\(directory)/task")
            let hasEnded = text("\(directory)/status").contains("State:\tZ")
            let zombie = hasEnded && threads.count < 2
            // What threads share is not to be seen through a first one that has ended.
            let eye = hasEnded ? threads.first { Int32($0) != pid } : nil
            sections["process \(pid)"] =
                zombie
                ? ["stat": Self.stat(directory, terminal: terminal)]
                : Self.process(eye.map { "\(world.proc)/\($0)" } ?? directory, &names, terminal: terminal)
            for tid in zombie ? [] : threads where eye == nil || Int32(tid) != pid {
                sections["thread \(tid)"] = Self.thread("\(directory)/task/\(tid)")
            }
        }
    }

    /// The pids of the processes in it.
    var tasks: [Int32] {
        sections.keys.compactMap { $0.hasPrefix("process ") ? Int32($0.dropFirst(8)) : nil }.sorted()
    }

    /// Those of them that are stopped.
    var stopped: [Int32] {
        tasks.filter { sections["process \($0)"]?["status"]?.contains("T (stopped)") == true }
    }

    /// Each difference as a line of its own; nothing where both are the same.
    func differences(to later: ProcessSnapshot) -> [String] {
        var found: [String] = []
        for owner in Set(sections.keys).union(later.sections.keys).sorted() {
            guard let old = sections[owner] else { found.append("\(owner) is new"); continue }
            guard let new = later.sections[owner] else { found.append("\(owner) is missing"); continue }
            for key in Set(old.keys).union(new.keys).sorted() where old[key] != new[key] {
                let oldLines = (old[key] ?? "").split(separator: "\n", omittingEmptySubsequences: false)
                let newLines = (new[key] ?? "").split(separator: "\n", omittingEmptySubsequences: false)
                for change in newLines.difference(from: oldLines) {
                    switch change {
                    case .remove(_, let line, _): found.append("\(owner) \(key): - \(line)")
                    case .insert(_, let line, _): found.append("\(owner) \(key): + \(line)")
                    }
                }
            }
        }
        return found
    }

    /// The pids of a tree, parents before their children.
    static func tree(_ proc: String, _ root: Int32) -> [Int32] {
        var all = [root]
        var next = 0
        while next < all.count {
            for thread in SystemTests.names(in: "\(proc)/\(all[next])/task") {
                let children = text("\(proc)/\(all[next])/task/\(thread)/children")
                all += children.split(separator: " ").compactMap { Int32($0) }
            }
            next += 1
        }
        return all
    }

    private static func process(
        _ directory: String, _ names: inout ObjectNames, terminal: Bool
    ) -> [String: String] {
        var told = [
            "maps": MapList(smaps: text("\(directory)/smaps")).text,
            "descriptors": descriptors(directory, &names),
            "stat": stat(directory, terminal: terminal),
            // The session and the parent of a job are those of its terminal.
            "status": status(directory, of: statusOfProcess.filter { !terminal || !["PPid", "NSsid"].contains($0) }),
        ]
        for file in ["cmdline", "environ", "limits", "oom_score_adj", "coredump_filter", "timerslack_ns"] {
            told[file] = text("\(directory)/\(file)").replacing("\0", with: "\\0")
        }
        told["timers"] = DescriptorLines.timers(text("\(directory)/timers"))
        let auxiliary = bytes(at: "\(directory)/auxv") ?? []
        told["auxv"] = stride(from: 0, to: auxiliary.count - 15, by: 16).map { start in
            auxiliary[start..<start + 16].map { String($0, radix: 16) }.joined(separator: " ")
        }.joined(separator: "\n")
        for link in ["exe", "cwd", "root"] { told[link] = target(of: "\(directory)/\(link)") ?? "none" }
        return told
    }

    private static func thread(_ directory: String) -> [String: String] {
        ["status": status(directory, of: statusOfThread), "comm": text("\(directory)/comm")]
    }

    private static let statusOfProcess = [
        "Umask", "State", "Tgid", "PPid", "NSpid", "NSpgid", "NSsid", "VmLck", "Threads", "ShdPnd", "CoreDumping",
        "THP_enabled",
    ]
    private static let statusOfThread = [
        "Pid", "TracerPid", "Uid", "Gid", "Groups", "SigPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm",
        "CapEff",
        "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed",
    ]

    private static func status(_ directory: String, of fields: [String]) -> String {
        text("\(directory)/status").split(separator: "\n").filter { line in
            fields.contains { line.hasPrefix($0 + ":") }
        }.map { line in
            // Whether it runs or sleeps at this moment is chance; whether it is stopped is not.
            line.hasPrefix("State:") && !line.contains("T (") && !line.contains("Z (") ? "State: alive" : String(line)
        }.joined(separator: "\n")
    }

    /// The fields of /proc/PID/stat that stay, by the numbers of proc_pid_stat(5), which begin at 1.
    private static func stat(_ directory: String, terminal: Bool) -> String {
        let line = text("\(directory)/stat")
        guard let end = line.lastIndex(of: ")") else { return "none" }
        let fields = line[line.index(after: end)...].split(separator: " ").map(String.init)
        let wanted = [
            (4, "ppid"), (5, "group"), (6, "session"), (7, "terminal"), (18, "priority"), (19, "nice"), (20, "threads"),
            (26, "start of code"), (27, "end of code"), (28, "start of stack"), (38, "exit signal"),
            (40, "real-time priority"), (41, "policy"), (45, "start of data"), (46, "end of data"),
            (47, "start of break"), (48, "start of arguments"), (49, "end of arguments"),
            (50, "start of environment"), (51, "end of environment"), (52, "exit code"),
        ]
        let ofTheTerminal: Set = [4, 6, 7]
        return wanted.filter { !terminal || !ofTheTerminal.contains($0.0) }.map { number, name in
            // The exit code of a living process is that of its last stop, if any.
            let value = number == 52 && fields.first != "Z" ? "-" : fields[number - 3]
            return "\(name) \(value)"
        }.joined(separator: "\n")
    }

    private static func descriptors(_ directory: String, _ names: inout ObjectNames) -> String {
        SystemTests.names(in: "\(directory)/fd").compactMap { Int($0) }.sorted().map { number in
            let link = target(of: "\(directory)/fd/\(number)") ?? "none"
            let information = DescriptorLines.stable(text("\(directory)/fdinfo/\(number)"))
            return "\(number) \(names.stable(link)) \(information.joined(separator: " "))"
        }.joined(separator: "\n")
    }
}

/// Names for pipes and the like, whose numbers are others after a restore, by their order of appearance.
private struct ObjectNames {
    private var known: [String: Int] = [:]

    /// `pipe:[1234]` becomes `pipe:1` at its first appearance and ever after; terminals are all one.
    mutating func stable(_ link: String) -> String {
        if link.hasPrefix("/dev/pts/") { return "/dev/pts/N" }
        // The name that the kernel gives a file of O_TMPFILE is the number of its inode.
        if link.hasSuffix(" (deleted)"), let number = link.firstMatch(of: /\/#\d+ \(deleted\)$/) {
            return link[..<number.range.lowerBound] + "/#N (deleted)"
        }
        guard link.hasSuffix("]"), let bracket = link.firstIndex(of: "[") else { return link }
        let number = known[link, default: known.count + 1]
        known[link] = number
        return "\(link[..<bracket])\(number)"
    }
}
