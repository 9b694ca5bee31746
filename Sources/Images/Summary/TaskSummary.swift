internal import Diagnostics
internal import ImageMessages
public import SystemPackage

/// What the images say about one task.
public struct TaskSummary: Sendable {
    public var pid: Int32
    /// 0 for the root.
    public var parent: Int32
    public var session: Int32
    public var processGroup: Int32
    /// For each generation from the root to this task: whether more siblings follow.
    public var branches: [Bool]
    /// The name of the process.
    public var name: String
    public var state: TaskState
    /// How a dead task ended: `exit status 7`, `signal 9`.
    public var end: String?
    public var executable: FilePath?
    /// The command line; nil where its pages are not in the images.
    public var command: [String]?
    public var workingDirectory: FilePath?
    public var root: FilePath?
    public var umask: UInt32?
    /// The effective ids.
    public var uid: UInt32?
    public var gid: UInt32?
    /// All threads, the leader first.
    public var threads: [Thread]
    /// Nil for a dead task.
    public var memory: MemorySummary?
    public var descriptors: [DescriptorSummary]

    public struct Thread: Sendable {
        public var tid: Int32
        public var name: String
    }

    init(_ task: TaskImages, branches: [Bool], _ context: SummaryContext) {
        let files = context.images.files
        pid = task.pid
        parent = task.parent
        session = task.session
        processGroup = task.processGroup
        self.branches = branches
        name = task.task.commText
        state = task.state
        end = task.state == .dead ? Self.end(task.task.exitCode) : nil
        executable = task.memory.flatMap { files.regular($0.exeFileID)?.path }
        workingDirectory = task.fs.flatMap { files.regular($0.cwdID)?.path }
        root = task.fs.flatMap { files.regular($0.rootID)?.path }
        umask = task.fs.flatMap { $0.hasUmask ? $0.umask : nil }
        let credentials = task.core.threadCore
        uid = credentials.hasCreds ? credentials.creds.euid : nil
        gid = credentials.hasCreds ? credentials.creds.egid : nil
        threads = task.threads.map { thread in
            let own = thread.core.threadCore
            return Thread(tid: thread.tid, name: own.hasComm ? own.commText : task.task.commText)
        }
        memory = task.memory.map { MemorySummary($0, task.pagemap) }
        command = Self.command(task, context.layers)
        descriptors = task.descriptors.map { DescriptorSummary($0, context.images) }
    }

    /// How a task ended, from what wait(2) will tell its parent.
    private static func end(_ status: UInt32) -> String {
        let signal = status & 0x7f
        return signal == 0 ? "exit status \(status >> 8 & 0xff)" : "signal \(signal)"
    }

    /// The words of the command line, which stand one after another at the bottom of the stack.
    private static func command(_ task: TaskImages, _ layers: PageLayers) -> [String]? {
        guard let memory = task.memory, memory.mmArgEnd > memory.mmArgStart else { return nil }
        // Enough to know the process by; a command line may have megabytes.
        let count = min(memory.mmArgEnd - memory.mmArgStart, 4096)
        guard let reader = try? PageReader(layers, id: UInt64(UInt32(bitPattern: task.pid))),
            let bytes = try? reader.bytes(at: memory.mmArgStart, count: count)
        else { return nil }
        return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast(bytes.last == 0 ? 1 : 0).map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
