public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A queue of what happens to files, with its watches under their numbers.
public struct FileWatcher: Resource {
    let entry: InotifyFileEntry
    /// The files without a name that are watched, by watch: their ids in the images.
    private let lost: [UInt32: UInt32]
    /// Events waited in it that are not in the images.
    private let hasLostEvents: Bool

    /// - Throws: `image-unsuitable` where the supplement names a file that the images do not have.
    public init(_ entry: InotifyFileEntry, in images: CheckpointImages) throws(Problem) {
        self.entry = entry
        var lost: [UInt32: UInt32] = [:]
        for told in images.supplement[.inotify, entry.id]?["lost"]?.elements ?? [] {
            let remap = images.remaps.first { remap in
                told["file"]?.bits == UInt64(remap.origID) && remap.remapType == .ghost
                    && images.ghosts[remap.remapID] != nil
            }
            guard let watch = told["watch"]?.bits.flatMap({ UInt32(exactly: $0) }), let remap else {
                throw Problem(
                    .imageUnsound, "what the supplement says of inotify queue \(entry.id) makes no sense",
                    remedy: "Copy the images again, all of them")
            }
            lost[watch] = remap.remapID
        }
        self.lost = lost
        hasLostEvents = images.supplement[.inotify, entry.id]?["unread"]?.bits ?? 0 > 0
    }

    public var extraDescriptors: Int { 0 }
    public var description: String { "inotify queue with \(entry.wd.count) watches" }

    /// What is opened for the tree behind a watched file's watch would be told as an event.
    public var comesLast: Bool { true }

    /// By their numbers, which are given in rising order.
    private var watches: [InotifyWdEntry] { entry.wd.sorted { $0.wd < $1.wd } }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        watches.filter { lost[$0.wd] == nil }.compactMap { watch in
            guard watch.fHandle.hasPath else {
                return Problem(
                    .objectUnsupported, "the images do not name the file of watch \(watch.wd) of an inotify queue",
                    remedy: "Restore these images with CRIU on the host of the dump")
            }
            let path = watch.fHandle.filePath
            do throws(Errno) {
                _ = try Files.status(of: path, followLinks: false)
                return nil
            } catch {
                return Problem(
                    .fileMissing, "a file that is watched (inotify) is not there", object: .init(path: path.string),
                    cause: .init(error, attempted: "stat(\"\(path)\")"), remedy: "Put it back where it was at the dump")
            }
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.watcher()
            // Before there are any watches, whose events would get in between.
            if hasLostEvents, try !Files.overflow(descriptor.raw) {
                site.lostEvents.append(
                    "an inotify queue is not told that events are lost: this host lets too many wait"
                        + " (fs.inotify.max_queued_events), or lets nobody number watches")
            }
            for watch in watches { try add(watch, to: descriptor.raw, at: site) }
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "an inotify queue cannot be made again",
                cause: .init(error, attempted: "inotify_init1, inotify_add_watch"),
                remedy: "Raise fs.inotify.max_user_instances and max_user_watches (sysctl)")
        }
    }

    private func add(_ watch: InotifyWdEntry, to watcher: Int32, at site: RestoreSite) throws(Errno) {
        // IN_DONT_FOLLOW: the path is of the watched file itself.
        var dontFollow: UInt32 = 0x0200_0000
        // What a program can ask for: IN_ALL_EVENTS, IN_EXCL_UNLINK, IN_ONESHOT. The kernel adds others of its own.
        let known: UInt32 = 0xfff | 0x0400_0000 | 0x8000_0000
        var path = watch.fHandle.filePath
        if let ghost = lost[watch.wd] {
            guard let file = site.deletedFiles[ghost] else { throw .noSuchFileOrDirectory }
            path = FilePath("/proc/self/fd/\(file.descriptor.raw)")
            dontFollow = 0
        }
        let wanted = Int32(truncatingIfNeeded: watch.wd)
        do throws(Errno) { try Files.setNextWatch(wanted, of: watcher) } catch {
            guard error == .inappropriateIOCTLForDevice || error == .invalidArgument else { throw error }
        }
        // Without that request the kernel gives one number after another.
        var tries = 0
        while true {
            let number = try Files.watch(path, for: watch.mask & known | dontFollow, with: watcher)
            if number == wanted { return }
            guard number < wanted, tries < 65_536 else { throw .invalidArgument }
            try Files.unwatch(number, of: watcher)
            tries += 1
        }
    }
}
