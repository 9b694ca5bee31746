internal import Linux
internal import SystemPackage

/// The child that a thread in vfork(2) waits for.
enum VforkChild {
    /// vfork(2), clone(2) and clone3(2), for programs of 64 and of 32 bits (asm/unistd_64.h, asm/unistd_32.h).
    private static let makingCalls: Set<Int> = [58, 56, 435, 190, 120]

    /// Finds the child.
    ///
    /// Nothing shows it; but a thread that waits has made no other child since. So it is the youngest, and of those that
    /// have the memory of their parent where there are any: an orphan that has come to the thread meanwhile has not.
    ///
    /// - Returns: nil where the thread is in no such call: it waits for a disk, perhaps.
    static func find(of pid: Int32, thread tid: Int32) -> Int32? {
        guard let text = try? ProcessDirectory(pid, thread: tid).contents(of: "syscall"),
            let number = Int(String(decoding: text.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)),
            makingCalls.contains(number)
        else { return nil }
        let children = ProcessState.children(of: pid, thread: tid)
        let sharers = children.filter { (try? Processes.compare(pid, $0, .memory)) == .same }
        var youngest: (pid: Int32, start: UInt64)?
        // The kernel lists them in the order in which they came.
        for child in sharers.isEmpty ? children : sharers {
            guard let state = ProcessState(of: child), !state.isDead, state.start >= youngest?.start ?? 0 else {
                continue
            }
            youngest = (child, state.start)
        }
        return youngest?.pid
    }
}
