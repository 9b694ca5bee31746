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
            for watch in try watches(of: seen) where target(of: watch, circumstances) == nil {
                _ = try path(of: watch, seen)
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
        var lost: [JSON] = []
        for watch in try watches(of: seen) {
            var watched = InotifyWdEntry()
            watched.id = 0
            watched.iIno = watch.inode
            watched.mask = watch.mask
            watched.ignoredMask = watch.ignored
            watched.sDev = watch.device
            watched.wd = watch.number
            watched.fHandle = watch.handle
            if let target = target(of: watch, descriptions.circumstances) {
                let key = try descriptions.capture(target)
                lost.append(.object([.init("watch", .number(watch.number)), .init("file", .number(key.id))]))
            } else {
                watched.fHandle.filePath = try path(of: watch, seen)
            }
            entry.wd.append(watched)
        }
        if let queued = try? Files.readableBytes(own.raw), queued > 0 {
            descriptions.losses.append(
                "process \(seen.pid), descriptor \(seen.number): what the inotify queue has to tell and the program has"
                    + " not read yet (\(queued) bytes) is not carried")
        }
        if !lost.isEmpty { descriptions.supplement[.inotify, entry.id] = .object([.init("lost", .array(lost))]) }
        return descriptions.record(.inotify, entry.id) { $0.ify = entry }
    }

    // MARK: Watches

    /// Who has a watched file without a name open: nothing else leads to it, after the restore as before.
    private static func target(of watch: Watch, _ circumstances: Circumstances) -> SeenDescriptor? {
        let number = device(of: watch)
        return circumstances.descriptors.sorted { $0.key < $1.key }.lazy.flatMap(\.value).first { candidate in
            candidate.status.linkCount == 0 && candidate.status.inode == watch.inode
                && candidate.status.device == number && DescriptionKinds.kind(of: candidate) is RegularFile.Type
        }
    }

    /// The kernel's own encoding: 20 bits of minor number.
    private static func device(of watch: Watch) -> DeviceNumber {
        DeviceNumber(major: watch.device >> 20, minor: watch.device & 0xfffff)
    }

    private struct Watch {
        var number, mask, ignored, device: UInt32
        var inode: UInt64
        var handle = FhEntry()
        var handleBytes: [UInt8]
    }

    private static func watches(of seen: SeenDescriptor) throws(Problem) -> [Watch] {
        var found: [Watch] = []
        for line in seen.info.values(of: "inotify wd") {
            let text = String(decoding: line, as: UTF8.self)
            guard let watch = watch(text) else {
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

    /// Parses `2 ino:3df sdev:fe00000 mask:300 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:9ddf...`.
    private static func watch(_ line: String) -> Watch? {
        let words = line.split(separator: " ")
        guard let number = words.first.flatMap({ UInt32($0, radix: 16) }) else { return nil }
        var values: [Substring: Substring] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { values[parts[0]] = parts[1] }
        }
        func value<Value: FixedWidthInteger>(_ key: Substring) -> Value? {
            values[key].flatMap { Value($0, radix: 16) }
        }
        guard let inode: UInt64 = value("ino"), let device: UInt32 = value("sdev"), let mask: UInt32 = value("mask"),
            let count: UInt32 = value("fhandle-bytes"), let kind: UInt32 = value("fhandle-type"),
            let digits = values["f_handle"], digits.utf8.count == 2 * Int(count)
        else { return nil }
        var bytes: [UInt8] = []
        var rest = digits
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        var watch = Watch(
            number: number, mask: mask, ignored: value("ignored_mask") ?? 0, device: device, inode: inode,
            handleBytes: bytes)
        watch.handle.bytes = count
        watch.handle.type = kind
        // Sixteen words, whatever the handle takes of them.
        let padded = bytes + [UInt8](repeating: 0, count: max(0, 128 - bytes.count))
        watch.handle.handle = stride(from: 0, to: 128, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(padded[start + $1]) << UInt64(8 * $1) }
        }
        return watch
    }

    /// A name that leads to the watched file.
    private static func path(of watch: Watch, _ seen: SeenDescriptor) throws(Problem) -> FilePath {
        let device = device(of: watch)
        let mounts = (try? ProcessDirectory(seen.pid).mounts()) ?? []
        var last: Errno = .noSuchFileOrDirectory
        for mount in mounts where mount.device == device {
            do throws(Errno) {
                let place = try Files.open(FilePath(bytes: mount.mountPoint), .path)
                let status = try Files.status(ofDescriptor: place.raw)
                // What is bound over a file may be a device, which would notice.
                guard status.device == device, status.kind == .directory || status.kind == .regular else { continue }
                // A handle is opened by a descriptor that is more than a path.
                let root = try Files.open(FilePath("/proc/self/fd/\(place.raw)"), .readOnly)
                let file = try Files.open(
                    handle: watch.handleBytes, kind: Int32(truncatingIfNeeded: watch.handle.type), mount: root.raw)
                let path = FilePath(bytes: try Files.readLink(FilePath("/proc/self/fd/\(file.raw)")))
                let found = try Files.status(of: path, followLinks: false)
                if found.device == device && found.inode == watch.inode { return path }
            } catch {
                last = error
            }
        }
        throw Problem(
            .fileUnreachable,
            "no name leads any more to what watch \(watch.number) of the inotify queue is on (inode"
                + " \(watch.inode) of device \(device.major):\(device.minor))",
            object: seen.object, cause: .init(last, attempted: "open_by_handle_at and stat"),
            remedy:
                "Put the file back where it was, or have the program take the watch away before the dump; Apus needs"
                + " CAP_DAC_READ_SEARCH")
    }
}
