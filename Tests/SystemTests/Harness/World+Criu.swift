import Glibc
import Testing

/// The CRIU of this host: a program to compare with, never one that Apus needs.
enum Criu {
    /// Why nothing can be compared with it here; nil where it works.
    static let obstacle: String? = {
        guard let version = try? Command(["criu", "--version"]).run(), version.status == 0 else {
            return "criu is not installed"
        }
        guard let check = try? Command(["criu", "check"]).run(seconds: 60) else { return "criu check did not end" }
        if check.status == 0 { return nil }
        // The first errors are those of features that it does without.
        let said = (check.output + check.errors).split(separator: "\n").filter { $0.hasPrefix("Error") }
        return "criu itself does not work on this kernel: " + said.suffix(3).joined(separator: " ")
    }()
}

/// What dumps or restores.
enum Tool: String, CustomTestStringConvertible {
    case apus, criu

    var testDescription: String { rawValue }
    fileprivate var path: String {
        switch self {
        case .apus: Place.apus
        case .criu: "criu"
        }
    }
}

extension World {
    /// Dumps the tree of `pid` with one of the tools, after which it has gone.
    func requireDump(
        by tool: Tool, _ pid: Int32, to images: String, _ options: [String] = [], within limit: Double = World.limit
    ) throws {
        _ = unsafe mkdir(path(images), 0o755)
        let arguments = ["dump", "-t", "\(pid)", "-D", path(images), "-v4", "-o", "dump.log", "--timeout", "100"]
        let dump = try run([tool.path] + arguments + options, within: limit)
        try succeeded(dump, "dump by \(tool)", errors(images, "dump"))
        guard eventually(seconds: 5, { !isAlive(pid) }) else { throw Failed("still there after the dump by \(tool)") }
    }

    /// Restores with one of the tools, detached.
    func requireRestore(
        by tool: Tool, _ images: String, _ options: [String] = [], within limit: Double = World.limit
    ) throws {
        let restore = try run(Self.restoring(by: tool, path(images)) + ["-d"] + options, within: limit)
        try succeeded(restore, "restore by \(tool)", errors(images, "restore"))
    }

    /// In seconds: enough for an emulated machine, and not multiplied for it (`Place.patience`). What has not ended by
    /// then does not end: it is killed, which is the end of the test and not of the run.
    static let limit = 150.0

    /// Says of a tool that it had to be killed.
    static let didNotEnd = "did not end"

    /// Lets the network through to the connections of a tree: each tool removes its own lock only.
    func unlockNetwork(dumpedBy dumper: Tool, _ images: String) throws {
        let script =
            switch dumper {
            case .apus:
                "nft delete table inet $(grep -o 'apus-kept-[-0-9a-f]*' '\(path(images))/supplement.json')"
            case .criu:
                """
                for filter in iptables ip6tables; do
                    $filter-save | sed -n '/^-A.*mark 0xc114/s/^-A/-D/p' | while read -r rule; do $filter $rule; done
                done
                """
            }
        try succeed("sh", "-c", script)
    }

    private func run(_ arguments: [String], within limit: Double) throws(Failed) -> Finished {
        try command(arguments).run(seconds: limit / Place.patience)
    }

    private func succeeded(_ finished: Finished, _ what: String, _ errors: String) throws(Failed) {
        if finished.status == 0 { return }
        let how =
            finished.status == Finished.timeIsUp
            ? "\(Self.didNotEnd) within \(Int(finished.seconds)) s" : "status \(finished.status)"
        throw Failed("\(what): \(how)\n\(errors)")
    }

    /// Restores with one of the tools as the job of a new terminal, whose output is appended to `output`.
    func requireJob(by tool: Tool, _ images: String, output: String, _ pid: Int32, named name: String) throws -> Job {
        // On a slow machine Apus would show its progress among what the job prints.
        let quietly = ["sh", "-c", "exec \"$@\" 2>>'\(path("errors"))'", "sh"]
        let arguments = Self.restoring(by: tool, path(images)) + ["--shell-job"]
        let job = try job(quietly + arguments, output: output)
        guard eventually(seconds: 30, { isReleased(pid, named: name) }) else {
            throw Failed("restore by \(tool): \(errors(images, "restore"))")
        }
        return job
    }

    private static func restoring(by tool: Tool, _ images: String) -> [String] {
        [tool.path, "restore", "-D", images, "-v4", "-o", "restore.log"]
    }

    private func errors(_ images: String, _ name: String) -> String {
        lines(path("\(images)/\(name).log")).filter { $0.contains("Error") || $0.contains("Warn") }
            .joined(separator: "\n")
    }
}
