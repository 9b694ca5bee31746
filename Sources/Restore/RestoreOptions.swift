public import Diagnostics
public import Images
public import Objects
public import SystemPackage

/// What the user asked of a restore, already validated.
public struct RestoreOptions: Sendable {
    /// Where the images are.
    public var imagesDirectory: FilePath
    /// Where logs, statistics and the pid file go; the images directory where not given.
    public var workDirectory: FilePath?
    /// Print the plan and make nothing (`--dry-run`).
    public var dryRun = false
    /// Leave once the tree runs, instead of waiting for its root (`--restore-detached`).
    public var detached = false
    /// Leave the restored tree stopped (`--leave-stopped`).
    public var leaveStopped = false
    /// Where the pids of the tree come from (`--pid-policy`).
    public var pidPolicy = PidPolicy.exact
    /// Apus itself is the init of a pid namespace for the tree (``NamespaceInit``).
    public var isInside = false
    /// The monotonic clocks of the tree go on where they were at the dump (`--continue-clocks`).
    public var continueClocks = false
    /// Terminals come back under the numbers that they had, or nothing is restored (`--exact-terminals`).
    public var exactTerminals = false
    /// The tree joins the session and the terminal of the caller (`--shell-job`).
    public var shellJob = false
    /// The root begins a session of its own where the leader of the one that it was in is not in the images.
    public var beginsSession = false
    /// The sessions that terminals control which are given in place of others, by their keys (`inherited`).
    public var givenSessions: [String: GivenSession] = [:]
    /// The root becomes a child of Apus' parent (`--restore-sibling`).
    public var sibling = false
    /// `--pidfile`: the pid of the root is written there, followed by a newline-less end as CRIU does.
    public var pidFile: FilePath?
    /// `--exec-cmd`: the program that takes the place of Apus once the tree runs, with its arguments; it inherits
    /// the restored root as a child.
    public var execCommand: [[UInt8]]?
    /// `--action-script`: run at each stage with `CRTOOLS_SCRIPT_ACTION` set.
    public var actionScripts: [FilePath] = []
    /// `--inherit-fd fd[N]:KEY`: the descriptor N of Apus stands in for the resource that KEY names.
    public var inherited: [Inherited] = []
    /// `--external dev[VALUE]:PATH`: devices that are opened in place of those that the dump has left outside, by `dev[VALUE]`.
    public var devices: [String: FilePath] = [:]
    /// `--status-fd`.
    public var statusDescriptor: Int32?

    /// `--file-locks`: locks on files may be restored.
    public var fileLocks = false
    /// `--tcp-established`: established connections may be restored.
    public var tcpEstablished = false
    /// `--tcp-close`: TCP connections come back closed.
    public var tcpClose = false
    /// The network is kept away from connections meanwhile; not with `--network-lock skip`.
    public var locksNetwork = true
    /// Addresses of IP, of 4 or 16 bytes, that this host will have before the tree is made: for a check alone.
    public var comingAddresses: Set<[UInt8]> = []
    /// `--ext-unix-sk`: unix sockets whose peer lies outside may be restored.
    public var externalUnixSockets = false
    /// `--lsm-profile`: what the tasks run as, in place of what they ran as.
    private(set) var securityProfile: SecurityProfile?
    /// `--file`, `--file-validation`: how far files of this host may differ.
    public var fileRules = FileRules()
    /// `--overwrite-files`: files that the tree writes to are replaced by copies from the images.
    public var overwriteFiles = false
    /// `--state-dir`: where copies of files are kept.
    public var stateDirectory = CopyStore.usualState
    /// The processor has to have the instructions of that of the dump; not with `--cpu-cap none`.
    public var comparesProcessors = true
    /// The images are of a tree that runs on and goes on writing to its files: for a check alone.
    public var isRehearsal = false
    /// Where the pages are, if not in the images.
    public var pages: (any PageLocator)?
    /// What brings pages that follow when the tree runs.
    public var late: (any LateMemory)?
    /// Asked when all is ready and before anything runs, for whoever has the last word: what it throws takes all back.
    public var permission: @Sendable () throws(Problem) -> Void = {}
    /// Told in the first moment in which the tree runs whatever happens to Apus.
    public var committed: @Sendable () -> Void = {}
    /// `--tcp-rebind`: other addresses for sockets that have no connection.
    private(set) var rebindings: [Rebinding] = []
    /// Told how far the work has come, where it may take longer than a second.
    public var progress = Progress.silent
    /// Told the plan of `--dry-run`, readable text with a final newline.
    public var showPlan: @Sendable (String) -> Void = { _ in }
    /// Told what the restore cost, once the tree runs and before anything else is waited for.
    public var report: @Sendable (Statistics) -> Void = { _ in }

    /// Where copies of files are kept unless somebody says otherwise.
    public static let usualState = CopyStore.usualState

    public enum PidPolicy: Sendable, Equatable {
        /// The pids that the processes had, which have to be free here.
        case exact
        /// The same pids in a pid namespace of its own, of which Apus stays the init.
        case newNamespace
    }

    public struct GivenSession: Sendable, Equatable {
        /// The session, and the process group in the foreground; 0 for that of the leader.
        public var session, foreground: Int32
        public init(session: Int32, foreground: Int32) {
            self.session = session
            self.foreground = foreground
        }
    }

    public struct Inherited: Sendable, Equatable {
        public var descriptor: Int32
        public var key: String
        public init(descriptor: Int32, key: String) {
            self.descriptor = descriptor
            self.key = key
        }
    }

    /// Sets what the tasks run as.
    ///
    /// - Parameter text: `TYPE:NAME`.
    /// - Returns: false where it is nothing of the kind.
    public mutating func runTasks(as text: String) -> Bool {
        securityProfile = SecurityProfile(text)
        return securityProfile != nil
    }

    /// Gives sockets another address.
    ///
    /// - Parameter text: `OLD=NEW`.
    /// - Returns: false where it is nothing of the kind.
    public mutating func rebind(_ text: String) -> Bool {
        guard let rebinding = Rebinding(text) else { return false }
        rebindings.append(rebinding)
        return true
    }

    public init(imagesDirectory: FilePath) { self.imagesDirectory = imagesDirectory }
}
