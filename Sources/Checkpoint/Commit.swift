internal import Bundles
internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import Stages
internal import SystemPackage
internal import Tracing

/// What is declared of images that are all there.
struct Declaration {
    /// What the directory is.
    let inventory: InventoryEntry
    /// What the host is.
    let host: HostRecord
    /// The first process of the tree.
    let root: ManifestRoot?
    /// The files of the host that the tree needs.
    let needed: [NeededFile]
    /// All images, where they were listed since the last was written.
    let listed: [ManifestFile]?
    /// Of images, as far as they are known already.
    let digests: [String: ImageDigest]
    /// They are to survive a crash of the machine.
    let isDurable: Bool
}

/// Images that are all there, on the disk, and declared so by the manifest.
struct CompleteImages: ~Copyable {
    /// What was declared.
    let manifest: Manifest
    /// Not whole yet: its end is written when the scripts have agreed.
    private let bundle: BundleWriter?

    /// Declares the images of a directory complete, and packs them where a bundle is wanted.
    ///
    /// - Parameter contents: completes what is known of files that the tree needs, for the manifest of a bundle.
    /// - Throws: `image-unwritable`, `bundle-unwritable`; `timed-out` or `interrupted` where the work was to stop just before.
    init(
        _ directory: ImageDirectory, _ declared: Declaration, _ contents: FileContents, _ deadline: Deadline,
        _ options: DumpOptions, warn: (String) -> Void
    ) throws(Problem) {
        try Cancellation.check()
        if deadline.isPast {
            throw Problem(
                .timedOut, "the dump took longer than --timeout allows and was rolled back",
                remedy: "Give it more time with --timeout SECONDS (0 for no limit)")
        }
        Steps.take()
        let now = Int64(SystemClock.realTime.now / 1_000_000_000)
        var manifest = try directory.commit(
            declared.inventory, toolVersion: ToolVersion.current, created: now, host: declared.host,
            root: declared.root, needed: declared.needed, listed: declared.listed, digests: declared.digests,
            durable: declared.isDurable, by: AllProcessors())
        Steps.take()
        var writer: BundleWriter?
        if let target = options.bundle {
            // It is the first thing in a bundle, so that it cannot be completed when the dump stands.
            contents.complete(&manifest.needed, warn: warn)
            manifest = try directory.seal(manifest, durable: declared.isDurable, while: { !Cancellation.requested })
            let packed = try BundleWriter(target, now: now)
            try packed.pack(directory, options.progress)
            Steps.take()
            writer = packed
        }
        self.manifest = manifest
        bundle = writer
    }

    /// Lets the user's scripts have the last word, and makes the bundle whole: behind them, so that nobody holds a
    /// whole bundle of a dump that was taken back.
    consuming func accepted(by scripts: ActionScripts, root: Int32) throws(Problem) -> CommittedDump {
        try scripts.run(.postDump, pid: root)
        try bundle?.seal()
        Steps.take()
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

/// Whether images can be written at all: asked before a process is frozen.
enum ImageSpace {
    /// - Throws: `image-unwritable`; `image-busy` where another dump or a restore is at work there; `image-exists` where
    ///   the dump of another program would be lost.
    static func check(_ directory: ImageDirectory, _ options: DumpOptions) throws(Problem) {
        try directory.lock(exclusively: true)
        try OlderDump.check(directory, replacedBy: options.pid)
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
