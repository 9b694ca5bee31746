internal import Linux
internal import SystemPackage

/// The few facts of `/proc/PID/stat` (proc_pid_stat(5)) that the freezing of a tree asks for over and over.
struct ProcessState {
    let name: String
    let letter: Character
    let parent: Int32
    /// When it was made, in ticks since the boot of the host.
    let start: UInt64

    var isZombie: Bool { letter == "Z" }
    var isDead: Bool { letter == "Z" || letter == "X" }
    var isUninterruptible: Bool { letter == "D" }

    /// - Returns: nil where there is no such process or thread any more.
    init?(of tid: Int32) {
        guard let bytes = Self.contents("/proc/\(tid)/stat"),
            // The name stands in parentheses and may itself hold any of them.
            let open = bytes.firstIndex(of: UInt8(ascii: "(")), let close = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = bytes[(close + 1)...].split(separator: UInt8(ascii: " "))
        // The field of the start is the 22nd, and the first of these the third (proc_pid_stat(5)).
        guard fields.count > 19, let state = fields[0].first,
            let parent = Int32(String(decoding: fields[1], as: UTF8.self)),
            let start = UInt64(String(decoding: fields[19], as: UTF8.self))
        else { return nil }
        name = String(decoding: bytes[(open + 1)..<close], as: UTF8.self)
        letter = Character(UnicodeScalar(state))
        self.parent = parent
        self.start = start
    }

    /// Whether a thread is one of the kernel's that carry out requests of io_uring (create_io_thread of kernel/fork.c). They are
    /// listed with the threads of the process, under a name that begins so.
    static func isRequestWorker(_ tid: Int32, of pid: Int32) -> Bool {
        let names = ["iou-wrk-", "iou-sqp-"]
        guard let name = contents("/proc/\(pid)/task/\(tid)/comm") else { return false }
        // Any thread may call itself so.
        guard names.contains(where: { name.starts(with: $0.utf8) }) else { return false }
        return (try? ProcessDirectory(pid, thread: tid).stat().isRequestWorker) ?? false
    }

    /// The threads of a process; empty where it is gone.
    static func threads(of pid: Int32) -> [Int32] {
        guard let entries = try? Files.entries(of: FilePath("/proc/\(pid)/task")) else { return [] }
        return entries.compactMap { Int32(String(decoding: $0.name, as: UTF8.self)) }
    }

    /// The children that a thread has made and that have not been given to another (proc_pid_task(5)). The list is
    /// reliable once the thread is stopped.
    static func children(of pid: Int32, thread: Int32) -> [Int32] {
        guard let bytes = contents("/proc/\(pid)/task/\(thread)/children") else { return [] }
        return bytes.split(separator: UInt8(ascii: " ")).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
    }

    /// Who traces a thread: a pid, 0 for nobody, nil where the thread is gone.
    static func tracer(of tid: Int32) -> Int32? {
        guard let bytes = contents("/proc/\(tid)/status") else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: Array("TracerPid:".utf8)) {
            return Int32(String(decoding: line.dropFirst(10).drop { $0 == 9 || $0 == 32 }, as: UTF8.self))
        }
        return nil
    }

    private static func contents(_ path: String) -> [UInt8]? { try? Files.contents(of: FilePath(path)) }
}
