public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A queue of what happens to files, to all of a mount or to all of a file system: fanotify(7).
///
/// One that only tells is carried with its marks, also one that could be asked for permission (FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT)
/// and is not. One that has a mark by which it is asked is refused: whoever opens a file would wait for its answer while the
/// tree stands still, Apus among them.
public enum Fanotify: DescriptionKind {
    public static let name = "fanotify queue"

    private static let link = "anon_inode:[fanotify]"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: link) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        do throws(Problem) {
            _ = try Queue(seen)
            return nil
        } catch {
            return error
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let queue = try Queue(seen)
        let own = try descriptions.open(seen)
        var entry = FanotifyFileEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen, through: own.raw)
        entry.faflags = queue.flags
        entry.evflags = queue.eventFlags
        entry.mark = queue.marks.compactMap { $0.entry(id: entry.id) }
        if let queued = try? Files.readableBytes(own.raw), queued > 0 {
            descriptions.losses.append(
                "process \(seen.pid), descriptor \(seen.number): what the fanotify queue has to tell and the program has"
                    + " not read yet (\(queued) bytes) is not carried")
        }
        let fileSystems = queue.marks.compactMap(\.fileSystem)
        if !fileSystems.isEmpty {
            descriptions.supplement[.fanotify, entry.id] = .object([.init("filesystems", .array(fileSystems))])
        }
        return descriptions.record(.fanotify, entry.id) { $0.ffy = entry }
    }

    // MARK: What fdinfo shows

    private struct Queue {
        let flags, eventFlags: UInt32
        let marks: [Mark]

        /// FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, FAN_PRE_ACCESS.
        private static let asking: UInt32 = 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x10_0000

        init(_ seen: SeenDescriptor) throws(Problem) {
            let lines = seen.info.rest.filter { $0.key.starts(with: "fanotify ".utf8) }.map { line in
                // The first word stands in front of the first colon.
                (line.keyText + ":" + line.valueText).split(separator: " ").dropFirst()
            }
            let heads = lines.map { KernelWords($0) }
            guard let head = heads.first, let flags: UInt32 = head["flags"], let events: UInt32 = head["event-flags"]
            else {
                throw Problem(
                    .unsupported, "this kernel does not show how a fanotify queue was set up", object: seen.object,
                    remedy: "Have the program close it before the dump")
            }
            (self.flags, eventFlags) = (flags, events)
            let mounts = (try? ProcessDirectory(seen.pid).mounts()) ?? []
            var marks: [Mark] = []
            for words in heads.dropFirst() { marks.append(try Mark(words, mounts, seen)) }
            guard !marks.contains(where: { $0.mask & Self.asking != 0 }) else {
                throw Problem(
                    .unsupported, "a fanotify queue that is asked for permission cannot be carried",
                    object: seen.object,
                    remedy: "End what answers for others (FAN_OPEN_PERM of fanotify_mark(2)) before the dump: while it"
                        + " stands still, it answers nobody")
            }
            // The kernel lists the newest first.
            self.marks = marks.reversed()
        }
    }

    /// A file, a mount or a file system that is watched.
    private struct Mark {
        enum Object {
            case file(WatchedFile, FilePath)
            case mount(UInt32, FilePath)
            case fileSystem(FilePath)
        }

        let object: Object
        let mask, ignored, flags, device: UInt32

        init(_ words: KernelWords, _ mounts: [MountInfo], _ seen: SeenDescriptor) throws(Problem) {
            guard let mask: UInt32 = words["mask"] else { throw Self.unknown(words, seen) }
            (self.mask, ignored, flags) = (mask, words["ignored_mask"] ?? 0, words["mflags"] ?? 0)
            device = words["sdev"] ?? 0
            if let file = WatchedFile(words) {
                object = .file(file, try file.path(seen, watchedBy: "a mark of the fanotify queue"))
            } else if let number: UInt32 = words["mnt_id"], let mount = mounts.first(where: { $0.id == Int32(number) })
            {
                object = .mount(number, FilePath(bytes: mount.mountPoint))
            } else if words.text["ino"] == nil, words.text["mnt_id"] == nil, let raw: UInt32 = words["sdev"],
                let mount = mounts.first(where: { $0.device == KernelWords.device(raw) })
            {
                object = .fileSystem(FilePath(bytes: mount.mountPoint))
            } else {
                throw Self.unknown(words, seen)
            }
        }

        private static func unknown(_ words: KernelWords, _ seen: SeenDescriptor) -> Problem {
            let shown = words.text.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: " ")
            return Problem(
                .unsupported, "no name leads to what a mark of the fanotify queue is on", object: seen.object,
                remedy: "Have the program take the mark away before the dump (the kernel shows: \(shown))")
        }

        /// For the images, which have no place for marks of file systems.
        func entry(id: UInt32) -> FanotifyMarkEntry? {
            var entry = FanotifyMarkEntry()
            (entry.id, entry.mflags, entry.mask, entry.ignoredMask) = (id, flags, mask, ignored)
            entry.sDev = device
            switch object {
            case .file(let file, let path):
                entry.type = .inode
                entry.ie.iIno = file.inode
                entry.ie.fHandle = file.handle
                entry.ie.fHandle.filePath = path
            case .mount(let number, let path):
                entry.type = .mount
                entry.me.mntID = number
                entry.me.filePath = path
            case .fileSystem: return nil
            }
            return entry
        }

        /// For the supplement.
        var fileSystem: JSON? {
            guard case .fileSystem(let path) = object else { return nil }
            return .object([
                .init("path", .string(Hexadecimal.text(path.bytes))), .init("mask", .number(mask)),
                .init("ignored", .number(ignored)), .init("flags", .number(flags)),
            ])
        }
    }
}
