public import SystemPackage

extension Processes.Limit {
    /// The names in `/proc/PID/limits`, in the order of RLIMIT_* numbers (getrlimit(2)).
    private static let names = [
        "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set",
        "Max processes", "Max open files", "Max locked memory", "Max address space", "Max file locks",
        "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority",
        "Max realtime timeout",
    ]

    /// Parses `/proc/PID/limits`: the limits by RLIMIT_* number, `Processes.limitCount` of them.
    ///
    /// Unlike prlimit(2), the file can be read by whoever may trace the process.
    ///
    /// - Parameter file: named in errors.
    public static func parse(_ text: [UInt8], file: FilePath = "limits") throws(ProcfsError) -> [Processes.Limit] {
        let lines = TextCursor(text, file: file).lines()
        var limits: [Processes.Limit] = []
        for name in names {
            guard var line = lines.first(where: { $0.rest.starts(with: name.utf8) }) else {
                throw ProcfsError(file: file, reason: .malformed("a line \(name)"))
            }
            line.position += name.utf8.count
            let soft = try line.limit()
            limits.append(Processes.Limit(soft: soft, hard: try line.limit()))
        }
        return limits
    }
}

extension TextCursor {
    fileprivate mutating func limit() throws(ProcfsError) -> UInt64 {
        skipBlanks()
        return take(text: "unlimited") ? Processes.Limit.unlimited : try number("a limit")
    }
}
