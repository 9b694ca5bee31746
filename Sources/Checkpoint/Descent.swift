internal import Linux

/// Who has been made by whom, among processes that run on meanwhile.
enum Descent {
    /// Whether a process comes from one of these: made after the tree was listed, it is of the tree all the same, and
    /// holds what its parent does.
    static func leads(to pid: Int32, from pids: Set<Int32>) -> Bool {
        var current = pid
        // No tree is as deep as there are processes; pids that come round meanwhile must not make this endless.
        for _ in 0..<4096 {
            guard let parent = (try? ProcessDirectory(current).stat())?.parent, parent > 0 else { return false }
            if pids.contains(parent) { return true }
            current = parent
        }
        return false
    }
}
