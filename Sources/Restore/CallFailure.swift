internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// What to tell the user about a system call that failed in a task that is being rebuilt.
enum CallFailure {
    static func problem(_ call: Batch.Call, _ result: Int64, task: RestorePlan.Task) -> Problem {
        let name = SystemCallName.of(call.number)
        let object = Problem.Object(pid: task.pid, process: task.name)
        guard result < 0 else {
            return Problem(
                .restoreFailed, "cannot \(call.purpose): \(name) gave \(result), expected \(call.expected)",
                object: object, remedy: "Copy the images again; if it happens again, report it")
        }
        let error = Errno(rawValue: Int32(truncatingIfNeeded: -result))
        if name == "clone3", error == .fileExists, let pid = call.expected.first {
            return PidsInUse.problem(Int32(truncatingIfNeeded: pid), task.name)
        }
        let arguments = call.arguments.map(text).joined(separator: ", ")
        return Problem(
            .restoreFailed, "cannot \(call.purpose.isEmpty ? "make a system call" : call.purpose)", object: object,
            cause: .init(error, attempted: "\(name)(\(arguments))"), remedy: remedy(name, error))
    }

    /// What helps against EAGAIN of clone(2).
    static let moreProcesses =
        "Raise the limit of processes and threads: pids.max of the control group that Apus is in,"
        + " or the kernel's threads-max and pid_max (sysctl)"

    private static func remedy(_ name: String, _ error: Errno) -> String {
        switch (name, error) {
        case (_, .noMemory): "Free memory, or raise the limit that its control group sets"
        case ("clone3", .resourceTemporarilyUnavailable): Self.moreProcesses
        case ("prlimit64", .notPermitted): "Run Apus with CAP_SYS_RESOURCE, or raise the hard limit of its own shell"
        case ("capset", .notPermitted), ("prctl", .notPermitted):
            "Run Apus with all the capabilities that the process had"
        case ("setresuid", _), ("setresgid", _), ("setgroups", _):
            "Run Apus as root in a user namespace that maps these ids"
        case ("fcntl", .resourceTemporarilyUnavailable), ("fcntl", .permissionDenied),
            ("flock", .resourceTemporarilyUnavailable):
            "Somebody else has the file locked or open since the dump: /proc/locks and fuser(1) tell who; end that first"
        case (_, .notPermitted), (_, .permissionDenied): "Run Apus as root"
        default: "Run `apus check` to see whether the kernel lacks something"
        }
    }

    static func text(_ argument: Batch.Argument) -> String {
        switch argument {
        case .value(let value):
            value < 4096
                ? "\(value)"
                : value > UInt64(Int64.max)
                    ? "\(Int64(bitPattern: value))"
                    : "0x" + String(value, radix: 16)
        case .address(let buffer): "[\(buffer.count) bytes]"
        case .result(let index): "result \(index)"
        case .int32, .word: "[stored]"
        }
    }
}
