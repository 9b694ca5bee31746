public import SystemPackage

/// The directory of a process or a thread in `/proc`.
///
/// Every member reads the file anew. A process that has ended makes them throw an error whose `isGone` is true.
public struct ProcessDirectory: Sendable, Equatable {
    public let path: FilePath

    /// - Parameters:
    ///   - pid: the process.
    ///   - thread: one of its threads; nil for the process as a whole.
    ///   - root: where the proc file system is mounted, or a recorded copy lies.
    public init(_ pid: Int32, thread: Int32? = nil, root: FilePath = "/proc") {
        var path = root.appending("\(pid)")
        if let thread { path = path.appending("task").appending("\(thread)") }
        self.path = path
    }

    /// Processes and threads are numbered alike, so any directory will do.
    public init(path: FilePath) {
        self.path = path
    }

    /// The bytes of a file.
    public func contents(of name: FilePath.Component) throws(ProcfsError) -> [UInt8] {
        try contents(path.appending(name))
    }

    func contents(_ file: FilePath) throws(ProcfsError) -> [UInt8] {
        do throws(Errno) {
            return try Files.contents(of: file)
        } catch {
            throw ProcfsError(file: file, reason: .unreadable(error))
        }
    }

    /// The text of a symbolic link: `exe`, `cwd`, `root`.
    public func link(_ name: FilePath.Component) throws(ProcfsError) -> [UInt8] {
        try link(path.appending(name))
    }

    func link(_ file: FilePath) throws(ProcfsError) -> [UInt8] {
        do throws(Errno) {
            return try Files.readLink(file)
        } catch {
            throw ProcfsError(file: file, reason: .unreadable(error))
        }
    }

    func numbers(in directory: FilePath) throws(ProcfsError) -> [Int32] {
        do throws(Errno) {
            return try Files.entries(of: directory).compactMap(\.number).sorted()
        } catch {
            throw ProcfsError(file: directory, reason: .unreadable(error))
        }
    }

    /// A file that holds one number, perhaps with a newline.
    func number<Value: FixedWidthInteger>(
        in name: FilePath.Component, radix: UInt64 = 10
    ) throws(ProcfsError) -> Value {
        let file = path.appending(name)
        var cursor = TextCursor(try contents(file), file: file)
        return try cursor.number("a number", radix: radix)
    }
}

extension ProcessDirectory {
    /// What a file tells that not every kernel has; nil where it is not there.
    ///
    /// - Throws: what keeps a file from being read that is there.
    public func ifKnown<Value>(_ read: () throws(ProcfsError) -> Value) throws(ProcfsError) -> Value? {
        do throws(ProcfsError) { return try read() } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
    }

    public func stat() throws(ProcfsError) -> TaskStat {
        try TaskStat(parsing: try contents(of: "stat"), file: path.appending("stat"))
    }

    public func status() throws(ProcfsError) -> TaskStatus {
        try TaskStatus(parsing: try contents(of: "status"), file: path.appending("status"))
    }

    /// VmLck of `status` alone, in KiB; nil for a task without memory of its own.
    public func lockedSize() throws(ProcfsError) -> UInt64? {
        try KeyedLines(try contents(of: "status"), file: path.appending("status")).number("VmLck")
    }

    /// The mappings in the order of their addresses, without details.
    public func maps() throws(ProcfsError) -> [MappedArea] {
        try MappedArea.parse(maps: try contents(of: "maps"), file: path.appending("maps"))
    }

    /// The mappings with details. Walks the page tables: slower than `maps`, by the size of what is resident.
    public func smaps() throws(ProcfsError) -> [MappedArea] {
        try MappedArea.parse(smaps: try contents(of: "smaps"), file: path.appending("smaps"))
    }

    public func limits() throws(ProcfsError) -> [Processes.Limit] {
        try Processes.Limit.parse(try contents(of: "limits"), file: path.appending("limits"))
    }

    public func mounts() throws(ProcfsError) -> [MountInfo] {
        try MountInfo.parse(try contents(of: "mountinfo"), file: path.appending("mountinfo"))
    }

    public func timers() throws(ProcfsError) -> [PosixTimer] {
        try PosixTimer.parse(try contents(of: "timers"), file: path.appending("timers"))
    }

    public func blockedCall() throws(ProcfsError) -> BlockedCall {
        try BlockedCall(parsing: try contents(of: "syscall"), file: path.appending("syscall"))
    }

    public func controlGroups() throws(ProcfsError) -> [ControlGroup] {
        try ControlGroup.parse(try contents(of: "cgroup"), file: path.appending("cgroup"))
    }

    /// The open descriptors, in rising order.
    public func descriptors() throws(ProcfsError) -> [Int32] { try numbers(in: path.appending("fd")) }

    /// The ids of the threads, in rising order.
    public func threads() throws(ProcfsError) -> [Int32] { try numbers(in: path.appending("task")) }

    /// The children that a thread has made, or that were given to it; of the path of a thread only.
    ///
    /// - Returns: nil on a kernel without CONFIG_PROC_CHILDREN: look for the parents of all processes instead.
    public func children() throws(ProcfsError) -> [Int32]? {
        let file = path.appending("children")
        let text: [UInt8]
        do throws(ProcfsError) {
            text = try contents(file)
        } catch {
            // The thread may be gone, or the kernel may not have the file: `stat` is always there.
            if error.errno == .noSuchFileOrDirectory, (try? stat()) != nil { return nil }
            throw error
        }
        var (cursor, children) = (TextCursor(text, file: file), [Int32]())
        cursor.skipBlanks()
        while !cursor.isAtEnd, cursor.next != UInt8(ascii: "\n") {
            children.append(try cursor.number("a pid"))
            cursor.skipBlanks()
        }
        return children
    }

    /// The namespaces by the names of their links: `net`, `pid_for_children`, ...
    ///
    /// - Parameter known: the names of the links, where they are known: those of all processes are the same.
    public func namespaces(_ known: [String]? = nil) throws(ProcfsError) -> [String: NamespaceLink] {
        let directory = path.appending("ns")
        let names: [String]
        do throws(Errno) {
            names =
                if let known { known } else {
                    try Files.entries(of: directory).map { String(decoding: $0.name, as: UTF8.self) }
                }
        } catch {
            throw ProcfsError(file: directory, reason: .unreadable(error))
        }
        var namespaces: [String: NamespaceLink] = [:]
        for name in names {
            let file = directory.appending(name)
            let text: [UInt8]
            do throws(ProcfsError) { text = try link(file) } catch {
                // pid_for_children and time_for_children of a task that has made none yet may not be readable.
                if known == nil || name.hasSuffix("_for_children") { continue }
                throw error
            }
            namespaces[name] = try NamespaceLink(parsing: text, file: file)
        }
        return namespaces
    }

    /// The auxiliary vector as words: type, value, ..., to the terminating AT_NULL and beyond as the kernel keeps it.
    public func auxiliaryVector() throws(ProcfsError) -> [UInt64] {
        let file = path.appending("auxv")
        let bytes = try contents(file)
        guard bytes.count % 8 == 0 else { throw ProcfsError(file: file, reason: .malformed("whole words")) }
        return stride(from: 0, to: bytes.count, by: 8).map { start in
            bytes[start..<(start + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
    }

    /// The arguments, split at their NULs. A program may have written anything there.
    public func commandLine() throws(ProcfsError) -> [[UInt8]] { Self.strings(try contents(of: "cmdline")) }

    /// The environment that the process was started with, split at the NULs.
    public func environment() throws(ProcfsError) -> [[UInt8]] { Self.strings(try contents(of: "environ")) }

    private static func strings(_ bytes: [UInt8]) -> [[UInt8]] {
        let body = bytes.last == 0 ? bytes.dropLast() : bytes[...]
        if bytes.isEmpty { return [] }
        return body.split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
    }

    /// The name of the thread (up to 15 bytes), without the newline at the end.
    public func name() throws(ProcfsError) -> [UInt8] {
        let text = try contents(of: "comm")
        return text.last == UInt8(ascii: "\n") ? text.dropLast() : text
    }

    /// personality(2).
    public func personality() throws(ProcfsError) -> UInt32 { try number(in: "personality", radix: 16) }

    /// The login's uid; 4294967295 for none.
    public func loginUser() throws(ProcfsError) -> UInt32 { try number(in: "loginuid") }

    /// -1000 to 1000.
    public func outOfMemoryAdjustment() throws(ProcfsError) -> Int32 { try number(in: "oom_score_adj") }

    /// core(5); nil for a task without memory of its own (a zombie, a kernel thread).
    public func coreDumpFilter() throws(ProcfsError) -> UInt32? {
        try contents(of: "coredump_filter").isEmpty ? nil : try number(in: "coredump_filter", radix: 16)
    }

    /// In nanoseconds. Other processes' needs CAP_SYS_NICE.
    public func timerSlack() throws(ProcfsError) -> UInt64 { try number(in: "timerslack_ns") }

    /// The kernel function a thread waits in, where the kernel shows it; empty for `0`.
    public func waitChannel() throws(ProcfsError) -> [UInt8] {
        let text = try contents(of: "wchan")
        return text == [UInt8(ascii: "0")] ? [] : text
    }
}
