internal import CLinux
public import SystemPackage

/// What a time namespace adds to the clocks of the host (time_namespaces(7)), in nanoseconds.
public struct ClockOffsets: Sendable, Equatable {
    public var monotonic: Int64
    public var bootTime: Int64

    public init(monotonic: Int64, bootTime: Int64) {
        self.monotonic = monotonic
        self.bootTime = bootTime
    }

    /// Those of a process: `/proc/PID/timens_offsets`.
    ///
    /// - Throws: ENOENT on a kernel without CONFIG_TIME_NS; EACCES; EINVAL where the text is not understood.
    public init(of directory: FilePath) throws(Errno) {
        let text = try Files.contents(of: directory.appending("timens_offsets"))
        var values: [Substring: Int64] = [:]
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            guard words.count == 3, let seconds = Int64(words[1]), let nanoseconds = Int64(words[2]) else {
                throw .invalidArgument
            }
            let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
            if overflow { throw .invalidArgument }
            values[words[0]] = product &+ nanoseconds
        }
        guard let monotonic = values["monotonic"], let bootTime = values["boottime"] else { throw .invalidArgument }
        self.init(monotonic: monotonic, bootTime: bootTime)
    }

    /// The lines that the kernel takes, the nanoseconds never negative.
    fileprivate var lines: [UInt8] {
        let values = [("monotonic", monotonic), ("boottime", bootTime)]
        let lines = values.map { name, value -> String in
            var (seconds, rest) = value.quotientAndRemainder(dividingBy: 1_000_000_000)
            if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000_000) }
            return "\(name) \(seconds) \(rest)\n"
        }
        return Array(lines.joined().utf8)
    }
}

/// A new time namespace for the processes that Apus makes: for the children, as long as the value lives.
public struct ChildClocks: ~Copyable {
    private static let newTime: UInt = 0x80  // CLONE_NEWTIME
    private let before: OwnedDescriptor

    /// - Throws: EINVAL on a kernel before 5.6; EPERM without CAP_SYS_ADMIN and CAP_SYS_TIME; ERANGE where a clock
    ///   would be negative.
    public init(_ offsets: ClockOffsets) throws(Errno) {
        let before = try Files.open("/proc/self/ns/time_for_children", .readOnly)
        try call(Int(SYS_unshare), Self.newTime)
        do throws(Errno) {
            let file = try Files.open("/proc/self/timens_offsets", .writeOnly)
            try Files.write(file.raw, offsets.lines)
        } catch {
            _ = try? call(Int(SYS_setns), UInt(signed: before.raw), Self.newTime)
            throw error
        }
        self.before = before
    }

    /// Children made from here on have the clocks of Apus again.
    ///
    /// - Throws: EUSERS where Apus has several threads.
    public consuming func end() throws(Errno) {
        try call(Int(SYS_setns), UInt(signed: before.raw), Self.newTime)
    }
}
