public import Bundles
public import Diagnostics
public import Images
public import Objects
public import SystemPackage

/// What the user asked of a dump, already validated.
public struct DumpOptions: Sendable {
    /// What becomes of the original once the images are complete.
    public enum Finally: Sendable, Equatable {
        /// It is killed: it lives on in the images alone.
        case kill
        /// It runs on (`--leave-running`).
        case run
        /// It stays stopped by SIGSTOP (`--leave-stopped`).
        case stop
    }

    /// Which files are taken along, beside those that a rule of `--file` says it of.
    public enum Shipping: String, Sendable, CaseIterable {
        case none
        /// What the tree maps or executes, up to 256 MiB a file, and what it only reads, up to 16 MiB. No file is certain to be
        /// the same elsewhere: even the C library differs between two updates of one distribution.
        case auto
        /// All regular files, what the tree writes to as well.
        case all
    }

    /// The root of the tree, as Apus sees it.
    public var pid: Int32
    /// Where the images go.
    public var imagesDirectory: FilePath
    /// Where logs and statistics go; the images directory where not given.
    public var workDirectory: FilePath?
    /// What the images are packed into, before the original is ended.
    public var bundle: BundleTarget?
    public var finally: Finally = .kill
    /// The session leader and the terminal lie outside the tree, and another terminal takes their place at the
    /// restore (`--shell-job`).
    public var shellJob = false
    /// How long the whole dump may take, in seconds; 0 is for ever (`--timeout`).
    public var timeout = 10
    /// `--action-script`: run at each stage with `CRTOOLS_SCRIPT_ACTION` set.
    public var actionScripts: [FilePath] = []
    /// `--external KEY`: what lies outside and is put back by the restore's caller, such as `file[MNT:INODE]`.
    public var external: [String] = []
    /// `--evasive-devices`: use any path to a device file whose own path is inaccessible.
    public var evasiveDevices = false
    /// `--link-remap`: give files that have lost a name, and have others, one more.
    public var linkRemap = false
    /// `--ghost-limit`: the most that is kept of a file that has no name any more, in bytes.
    public var ghostLimit = GhostFile.usualLimit
    /// `--ship`: which files of the host are taken along.
    public var shipping = Shipping.none
    /// `--file`: how far files may differ at the restore.
    public var fileRules = FileRules()
    /// `--status-fd`: a zero byte is written there and the descriptor closed once the images are complete.
    public var statusDescriptor: Int32?

    /// `--file-locks`: locks on files may be carried. Without it a lock is a reason to refuse.
    public var fileLocks = false
    /// `--tcp-established`: established connections may be carried. Without it one is a reason to refuse.
    public var tcpEstablished = false
    /// `--tcp-close`: TCP connections come back closed.
    public var tcpClose = false
    /// `--skip-in-flight`: TCP connections that wait to be accepted are broken off.
    public var skipInFlight = false
    /// TCP connections that wait to be accepted are carried: the tree was given time to accept them, and has not.
    var carriesWaiting = false
    /// The network is kept away from connections meanwhile; not with `--network-lock skip`.
    public var locksNetwork = true
    /// `--ext-unix-sk`: unix sockets whose peer lies outside may be carried. Without it one is a reason to refuse.
    public var externalUnixSockets = false
    /// Asked about the images before they are declared complete: whether they can be restored.
    public var verify: Verification = { _, _, _ in }
    /// Told how far the work has come, where it may take longer than a second.
    public var progress = Progress.silent
    /// Told what the dump cost, once it is committed.
    public var report: @Sendable (Statistics) -> Void = { _ in }

    /// Apus watches already what the tree writes to.
    var isWatched = false

    /// Throws why images cannot be restored. The second argument is what the directory is, which is written last. The third is to be called before any page map or page is looked at: it waits until
    /// all are written, and throws where they will not be.
    public typealias Verification =
        @Sendable (ImageDirectory, InventoryEntry, () throws(Problem) -> Void) throws -> Void

    public init(pid: Int32, imagesDirectory: FilePath) {
        self.pid = pid
        self.imagesDirectory = imagesDirectory
    }
}
