public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A queue of fanotify(7) with its marks.
public struct FileNotifier: Resource {
    private let entry: FanotifyFileEntry
    private let marks: [Mark]

    private struct Mark {
        enum Kind: UInt32 {
            /// FAN_MARK_INODE with FAN_MARK_DONT_FOLLOW, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM.
            case inode = 0x4
            case mount = 0x10
            case fileSystem = 0x100
        }

        let kind: Kind
        let path: FilePath
        let mask, ignored, flags: UInt32
    }

    /// - Throws: `image-unsound` where the supplement makes no sense.
    public init(_ entry: FanotifyFileEntry, in images: CheckpointImages) throws(Problem) {
        self.entry = entry
        var marks = entry.mark.map { mark in
            Mark(
                kind: mark.type == .mount ? .mount : .inode,
                path: mark.type == .mount ? mark.me.filePath : mark.ie.fHandle.filePath,
                mask: mark.mask, ignored: mark.ignoredMask, flags: mark.mflags)
        }
        for told in images.supplement[.fanotify, entry.id]?["filesystems"]?.elements ?? [] {
            func number(_ name: String) -> UInt32? { told[name]?.bits.flatMap { UInt32(exactly: $0) } }
            guard let path = told["path"]?.string.flatMap(Hexadecimal.bytes), let mask = number("mask"),
                let ignored = number("ignored"), let flags = number("flags")
            else {
                throw Problem(
                    .imageUnsound, "what the supplement says of fanotify queue \(entry.id) makes no sense",
                    remedy: "Copy the images again, all of them")
            }
            marks.append(
                Mark(kind: .fileSystem, path: FilePath(bytes: path), mask: mask, ignored: ignored, flags: flags))
        }
        self.marks = marks
    }

    public var extraDescriptors: Int { 0 }
    public var description: String { "fanotify queue with \(marks.count) marks" }

    /// What is opened for the tree would be told as an event.
    public var comesLast: Bool { true }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        marks.compactMap { mark in
            guard !mark.path.isEmpty else {
                return Problem(
                    .objectUnsupported, "the images do not name what a mark of a fanotify queue is on",
                    remedy: "Restore these images with CRIU on the host of the dump")
            }
            do throws(Errno) {
                _ = try Files.status(of: mark.path, followLinks: false)
                return nil
            } catch {
                return Problem(
                    .fileMissing, "what is watched (fanotify) is not there", object: .init(path: mark.path.string),
                    cause: .init(error, attempted: "stat(\"\(mark.path)\")"),
                    remedy: "Put it back where it was at the dump")
            }
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.notifier(entry.faflags, eventFlags: entry.evflags)
            for mark in marks { try add(mark, to: descriptor.raw) }
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "a fanotify queue cannot be made again",
                cause: .init(error, attempted: "fanotify_init, fanotify_mark"),
                remedy: "The kernel must know what the queue was set up with (Documentation: fanotify_init(2)); Apus"
                    + " needs CAP_SYS_ADMIN; raise fs.fanotify.max_user_groups and max_user_marks (sysctl)")
        }
    }

    private func add(_ mark: Mark, to notifier: Int32) throws(Errno) {
        // FAN_MARK_*, as in fanotify_mark(2).
        let (add, ignoredMask, survives, evictable, ignore): (UInt32, UInt32, UInt32, UInt32, UInt32) = (
            0x1, 0x20, 0x40, 0x200, 0x400
        )
        let common = add | mark.kind.rawValue | mark.flags & evictable
        if mark.mask != 0 { try Files.mark(mark.path, common, for: UInt64(mark.mask), with: notifier) }
        if mark.ignored != 0 {
            // The newer kind of ignore mask, or the older, which the kernel keeps apart.
            let kind = mark.flags & ignore != 0 ? ignore : ignoredMask
            try Files.mark(
                mark.path, common | kind | mark.flags & survives, for: UInt64(mark.ignored), with: notifier)
        }
    }
}
