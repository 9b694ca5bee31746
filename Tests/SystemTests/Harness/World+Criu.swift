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
    /// Dumps the tree of `pid` with one of the tools, after which it has gone. With time enough for an emulated machine.
    func requireDump(by tool: Tool, _ pid: Int32, to images: String, _ options: [String] = []) throws {
        _ = unsafe mkdir(path(images), 0o755)
        let arguments = ["dump", "-t", "\(pid)", "-D", path(images), "-v4", "-o", "dump.log", "--timeout", "100"]
        let dump = try command([tool.path] + arguments + options).run(seconds: 120)
        if dump.status != 0 { throw Failed("dump by \(tool): status \(dump.status)\n\(errors(images, "dump"))") }
        guard eventually(seconds: 5, { !isAlive(pid) }) else { throw Failed("still there after the dump by \(tool)") }
    }

    /// Restores with one of the tools, detached.
    func requireRestore(by tool: Tool, _ images: String, _ options: [String] = []) throws {
        let restore = try command(Self.restoring(by: tool, path(images)) + ["-d"] + options).run(seconds: 120)
        if restore.status != 0 {
            throw Failed("restore by \(tool): status \(restore.status)\n\(errors(images, "restore"))")
        }
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
