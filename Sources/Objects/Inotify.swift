public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A queue of what happens to files: inotify(7).
///
/// A watch is of an inode, whose name the kernel does not keep: it shows a handle of the file system, by which the file is
/// opened once to ask for its name.
public enum Inotify: DescriptionKind {
    public static let name = "inotify queue"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.link.elementsEqual("anon_inode:inotify".utf8) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        do throws(Problem) {
            for watch in try watches(of: seen) where watch.file.holder(circumstances) == nil {
                _ = try watch.path(seen)
            }
            return nil
        } catch {
            return error
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        var entry = InotifyFileEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen, through: own.raw)
        var (lost, members): ([JSON], [JSON.Member]) = ([], [])
        for watch in try watches(of: seen) {
            var watched = InotifyWdEntry()
            watched.id = 0
            watched.iIno = watch.file.inode
            watched.mask = watch.mask
            watched.ignoredMask = watch.ignored
            watched.sDev = watch.device
            watched.wd = watch.number
            watched.fHandle = watch.file.handle
            if let target = watch.file.holder(descriptions.circumstances) {
                let key = try descriptions.capture(target)
                lost.append(.object([.init("watch", .number(watch.number)), .init("file", .number(key.id))]))
            } else {
                watched.fHandle.filePath = try watch.path(seen)
            }
            entry.wd.append(watched)
        }
        if let queued = try? Files.readableBytes(own.raw), queued > 0 {
            descriptions.losses.append(
                "process \(seen.pid), descriptor \(seen.number): what the inotify queue has to tell and the program has"
                    + " not read yet (\(queued) bytes) is not carried; it will be told that there was something (IN_Q_OVERFLOW)"
            )
            members.append(.init("unread", .number(queued)))
        }
        if !lost.isEmpty { members.append(.init("lost", .array(lost))) }
        if !members.isEmpty { descriptions.supplement[.inotify, entry.id] = .object(members) }
        return descriptions.record(.inotify, entry.id) { $0.ify = entry }
    }

    // MARK: Watches

    private struct Watch {
        let number, mask, ignored, device: UInt32
        let file: WatchedFile

        /// Parses `2 ino:3df sdev:fe00000 mask:300 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:9ddf...`.
        init?(_ line: String) {
            let words = line.split(separator: " ")
            let values = KernelWords(words.dropFirst())
            guard let number = words.first.flatMap({ UInt32($0, radix: 16) }), let file = WatchedFile(values),
                let mask: UInt32 = values["mask"], let device: UInt32 = values["sdev"]
            else { return nil }
            (self.number, self.mask, ignored, self.device) = (number, mask, values["ignored_mask"] ?? 0, device)
            self.file = file
        }

        func path(_ seen: SeenDescriptor) throws(Problem) -> FilePath {
            try file.path(seen, watchedBy: "watch \(number) of the inotify queue")
        }
    }

    private static func watches(of seen: SeenDescriptor) throws(Problem) -> [Watch] {
        var found: [Watch] = []
        for line in seen.info.values(of: "inotify wd") {
            let text = String(decoding: line, as: UTF8.self)
            guard let watch = Watch(text) else {
                throw Problem(
                    .unsupported, "a watch of the inotify queue is on a file system whose files have no handles",
                    object: seen.object,
                    remedy: "Close the queue before the dump, or have the program watch files elsewhere (the kernel"
                        + " shows: \(text))")
            }
            found.append(watch)
        }
        // The kernel lists the newest first.
        return found.sorted { $0.number < $1.number }
    }
}
