internal import Diagnostics
internal import Images
internal import Linux
internal import Stages
internal import SystemPackage
internal import Tracing

/// Images that are all there, on the disk, and declared so by the manifest.
struct CompleteImages: ~Copyable {
    /// Declares the images of a directory complete.
    ///
    /// - Throws: `image-unwritable`; `timed-out` or `interrupted` where the work was to stop just before.
    init(_ directory: ImageDirectory, _ deadline: Deadline) throws(Problem) {
        try Cancellation.check()
        if deadline.isPast {
            throw Problem(
                .timedOut, "the dump took longer than --timeout allows and was rolled back",
                remedy: "Give it more time with --timeout SECONDS (0 for no limit)")
        }
        Steps.take()
        try directory.commit(
            toolVersion: ToolVersion.current, created: Int64(SystemClock.realTime.now / 1_000_000_000))
        Steps.take()
    }

    /// Lets the user's scripts have the last word.
    consuming func accepted(by scripts: ActionScripts, root: Int32) throws(Problem) -> CommittedDump {
        try scripts.run(.postDump, pid: root)
        return CommittedDump()
    }
}

/// The proof that a dump stands. Nothing else can end the original.
struct CommittedDump: ~Copyable {
    fileprivate init() {}

    /// Does with the original what the user asked for.
    consuming func end(_ tree: FrozenTree, _ finally: DumpOptions.Finally, _ deadline: Deadline) {
        switch finally {
        case .kill:
            tree.kill(deadline: .init(seconds: 10))
        case .run: tree.thaw()
        case .stop: tree.leaveStopped()
        }
    }
}

extension ImageSpace {
    /// An older dump of the same process is replaced, one of another process is not.
    private static func checkOlder(_ directory: ImageDirectory, _ pid: Int32) throws(Problem) {
        // What cannot be read is no dump that anybody could miss.
        guard let manifest = try? directory.manifest(), !manifest.files.isEmpty,
            let root = try? directory.first(.pstree), root.pid != UInt32(bitPattern: pid)
        else { return }
        throw Problem(
            .imageExists, "the image directory holds the dump of another process, \(root.pid)",
            object: .init(path: directory.path.string),
            remedy: "Name another directory with --images-dir, or remove the older dump")
    }
}

/// Whether images can be written at all: asked before a process is frozen.
enum ImageSpace {
    /// - Throws: `image-unwritable`; `image-busy` where another dump or a restore is at work there; `image-exists` where
    ///   the complete dump of another process would be lost.
    static func check(_ directory: ImageDirectory, _ options: DumpOptions) throws(Problem) {
        try directory.lock(exclusively: true)
        try checkOlder(directory, options.pid)
        do throws(Errno) {
            let (write, search): (Int32, Int32) = (2, 1)
            try Files.access(".", mode: write | search, at: directory.descriptor)
        } catch {
            throw Problem(
                .imageUnwritable, "the image directory cannot be written to",
                object: .init(path: directory.path.string),
                cause: .init(error, attempted: "faccessat(\"\(directory.path)\", W_OK)"),
                remedy: "Name a directory that can be written to with --images-dir")
        }
    }
}
