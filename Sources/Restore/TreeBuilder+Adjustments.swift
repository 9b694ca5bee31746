internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// What is done from outside, once the tasks exist.
extension TreeBuilder {
    func adjust() throws(Problem) {
        for task in plan.tasks where task.state != .dead {
            do throws(Errno) {
                try set("oom_score_adj", of: task, to: "\(task.outOfMemoryAdjustment)")
            } catch {
                throw Problem(
                    .restoreFailed, "its OOM score adjustment cannot be set to \(task.outOfMemoryAdjustment)",
                    object: .init(pid: task.pid, process: task.name, path: "/proc/\(task.pid)/oom_score_adj"),
                    cause: .init(error, attempted: "write"),
                    remedy: "Run Apus with CAP_SYS_RESOURCE, or start it with the same oom_score_adj")
            }
            if let filter = task.coreDumpFilter {
                let digits = String(filter, radix: 16)
                let padding = String(repeating: "0", count: max(0, 8 - digits.count))
                attempt("coredump_filter", of: task, to: padding + digits, prefix: "0x")
            }
            if let nice = task.autogroupNice { attempt("autogroup", of: task, to: "\(nice)") }
        }
    }

    /// A setting that the program can do without.
    private func attempt(_ name: String, of task: RestorePlan.Task, to value: String, prefix: String = "") {
        do throws(Errno) {
            try set(name, of: task, to: value, prefix: prefix)
        } catch {
            losses.append(
                "process \(task.pid) (\(task.name)): its \(name) cannot be set to \(prefix)\(value) (\(error.name))")
        }
    }

    /// - Parameter prefix: what the kernel does not show but wants to read.
    private func set(_ name: String, of task: RestorePlan.Task, to value: String, prefix: String = "") throws(Errno) {
        let path = FilePath("/proc/\(task.pid)/\(name)")
        if let current = try? Files.contents(of: path), String(decoding: current, as: UTF8.self) == value + "\n" {
            return
        }
        let file = try Files.open(path, .writeOnly)
        try Files.write(file.raw, Array((prefix + value).utf8))
    }

    /// Asks for leases that somebody had asked for at the dump. Whoever holds one has been told already: until owners are set
    /// (`setOwners`), nobody is told by the kernel.
    func breakLeases() throws(Problem) {
        do throws(Errno) {
            for lease in plan.leases { try Files.setOwner(lease.descriptor, .init(kind: .process, id: 0)) }
            for lease in plan.leases {
                guard let asked = lease.asked else { continue }
                try ask(for: lease.descriptor, asked == .toRead ? .readOnly : .writeOnly)
            }
        } catch {
            throw Problem(
                .restoreFailed, "a lease cannot be asked for as it was at the dump",
                cause: .init(error, attempted: "fcntl(F_SETOWN_EX) and open"),
                remedy: "Mount the file system of the file for writing")
        }
    }

    private func ask(for descriptor: Int32, _ flags: OpenFlags) throws(Errno) {
        do throws(Errno) {
            _ = try Files.open(FilePath("/proc/self/fd/\(descriptor)"), flags.union(.nonBlocking))
        } catch {
            // So says the kernel to whoever does not wait for the lease that he has asked for.
            if error == .wouldBlock { return }
            throw error
        }
        throw .resourceBusy
    }
}
