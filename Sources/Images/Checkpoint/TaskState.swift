public import ImageMessages

/// `TaskCoreEntry.taskState`: what a task was doing when it was dumped.
public enum TaskState: UInt32, Sendable {
    case alive = 1
    /// It has ended, and waits for its parent to ask how (a zombie).
    case dead = 2
    /// By SIGSTOP or another signal of job control.
    case stopped = 3
}

extension TaskCoreEntry {
    /// Nil where the image says something that Linux has no state for.
    public var state: TaskState? { TaskState(rawValue: taskState) }
}
