internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The dump that stands in an image directory before another one is written there.
///
/// One of the same program is replaced; that of another one may be all that there is of it.
enum OlderDump {
    /// - Throws: `image-exists` where it is, or may be, that of another program.
    static func check(_ directory: ImageDirectory, replacedBy pid: Int32) throws(Problem) {
        guard try directory.holdsDump else { return }
        let (manifest, root): (Manifest?, UInt32)
        do throws(Problem) {
            manifest = try directory.manifest()
            root = try directory.first(.pstree)?.pid ?? 0
        } catch {
            throw exists(directory, "holds images that this Apus cannot read (\(error.summary))")
        }
        if root != UInt32(bitPattern: pid) { throw exists(directory, "holds the dump of another process, \(root)") }
        // Of images of CRIU nothing more is known.
        guard let manifest, let older = manifest.root, let stat = try? ProcessDirectory(pid).stat() else { return }
        // Pids are given again, and are the same in many namespaces.
        if isAnother(older, than: stat, dumpedAt: manifest.host?.clock.bootTime ?? 0) {
            throw exists(
                directory, "holds the dump of another process that had the pid \(pid) (\(older.name.printable))")
        }
    }

    /// By what a process is known that is the root of a dump.
    static func root(_ stat: TaskStat) -> ManifestRoot {
        .init(start: stat.startTime, boot: HostBoot.mark, name: String(decoding: stat.name, as: UTF8.self))
    }

    /// Who was restored was started when the dump stood. Who was there before, and is not who was dumped, is another one.
    private static func isAnother(
        _ older: ManifestRoot, than stat: TaskStat, dumpedAt time: UInt64
    ) -> Bool {
        let now = root(stat)
        let isSameRun = older.boot == now.boot
        // It may have another name by now.
        if isSameRun && older.start == now.start { return false }
        if older.name != now.name { return true }
        return isSameRun && now.start < time / (1_000_000_000 / HostFacts.ticksPerSecond)
    }

    private static func exists(_ directory: ImageDirectory, _ what: String) -> Problem {
        Problem(
            .imageExists, "the image directory \(what)", object: .init(path: directory.path.string),
            remedy: "Name another directory with --images-dir, or remove the older dump")
    }
}
