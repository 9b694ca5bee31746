public import Diagnostics
internal import Glibc
internal import Linux
public import SystemPackage

/// The moments at which action scripts run; the raw values are what they find in `CRTOOLS_SCRIPT_ACTION`.
public enum Stage: String, Sendable, CaseIterable {
    case preDump = "pre-dump"
    case postDump = "post-dump"
    case preRestore = "pre-restore"
    case postRestore = "post-restore"
    case preResume = "pre-resume"
    case postResume = "post-resume"
    case networkLock = "network-lock"
    case networkUnlock = "network-unlock"
    case setupNamespaces = "setup-namespaces"
    case postSetupNamespaces = "post-setup-namespaces"
    case orphanPtsMaster = "orphan-pts-master"
    case statusReady = "status-ready"
    case queryExternalFiles = "query-ext-files"
}

/// The scripts that `--action-script` names.
public struct ActionScripts: Sendable {
    private let paths: [FilePath]
    private let imagesDirectory: FilePath

    public init(_ paths: [FilePath], imagesDirectory: FilePath) {
        self.paths = paths
        self.imagesDirectory = imagesDirectory
    }

    /// Runs every script, in order, and waits for it.
    ///
    /// - Parameter pid: the root of the tree, where it exists; the scripts find it in `CRTOOLS_INIT_PID`.
    /// - Throws: `action-script` where one cannot be started or ends with another status than 0.
    public func run(_ stage: Stage, pid: Int32? = nil) throws(Problem) {
        for path in paths { try run(path, stage, pid) }
    }

    private func run(_ path: FilePath, _ stage: Stage, _ pid: Int32?) throws(Problem) {
        var variables = ["CRTOOLS_SCRIPT_ACTION=\(stage.rawValue)", "CRTOOLS_IMAGE_DIR=\(imagesDirectory)"]
        if let pid { variables.append("CRTOOLS_INIT_PID=\(pid)") }
        let status: WaitStatus?
        do throws(Errno) {
            let child = try Subprocess.spawn(["/bin/sh", "-c", path.string], adding: variables, group: true)
            status = try Self.wait(for: child)
        } catch {
            if let wish = Cancellation.problem { throw wish }
            throw Problem(
                .actionScript, "the action script cannot be run at stage \(stage.rawValue)",
                object: .init(path: path.string), cause: .init(error, attempted: "posix_spawn"),
                remedy: "See that it exists and is executable")
        }
        guard case .exited(code: 0) = status else {
            if let wish = Cancellation.problem { throw wish }
            throw Problem(
                .actionScript,
                "the action script failed at stage \(stage.rawValue) (\(status.map { "\($0)" } ?? "no status"))",
                object: .init(path: path.string), remedy: "Run it by hand with CRTOOLS_SCRIPT_ACTION set to see why")
        }
    }

    /// Waits for a script, and kills it where the whole operation is to stop: a script that hangs must not hold a
    /// frozen tree for ever. So are those that it has started: one that went on would work on what was taken back.
    private static func wait(for child: Int32) throws(Errno) -> WaitStatus? {
        while true {
            do throws(Errno) {
                return try Processes.wait(for: child, retrying: false)?.status
            } catch .interrupted {
                if Cancellation.requested { try Processes.kill(-child, signal: SIGKILL) }
            }
        }
    }
}

extension Problem.Code {
    public static let actionScript: Self = "action-script"
}
