internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A file that the kernel watches for somebody (inotify(7), fanotify(7)), as a line of fdinfo shows it: by its inode, and by the handle
/// that its file system gives it, for the kernel does not keep its name.
struct WatchedFile {
    let inode: UInt64
    private let rawDevice: UInt32
    private let handleBytes: [UInt8]
    private let handleKind: UInt32

    /// Parses `ino:3df sdev:fe00000 ... fhandle-bytes:8 fhandle-type:1 f_handle:9ddf...`.
    ///
    /// - Parameter words: of the line.
    /// - Returns: nil for a file on a file system whose files have no handles.
    init?(_ words: KernelWords) {
        guard let inode: UInt64 = words["ino"], let device: UInt32 = words["sdev"],
            let count: UInt32 = words["fhandle-bytes"], let kind: UInt32 = words["fhandle-type"],
            let digits = words.text["f_handle"], digits.utf8.count == 2 * Int(count)
        else { return nil }
        var bytes: [UInt8] = []
        var rest = digits
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        (self.inode, rawDevice, handleBytes, handleKind) = (inode, device, bytes, kind)
    }

    var device: DeviceNumber { KernelWords.device(rawDevice) }

    /// For the images; without the name.
    var handle: FhEntry {
        var handle = FhEntry()
        handle.bytes = UInt32(handleBytes.count)
        handle.type = handleKind
        // Sixteen words, whatever the handle takes of them.
        let padded = handleBytes + [UInt8](repeating: 0, count: max(0, 128 - handleBytes.count))
        handle.handle = stride(from: 0, to: 128, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(padded[start + $1]) << UInt64(8 * $1) }
        }
        return handle
    }

    /// Who has a watched file without a name open: nothing else leads to it, after the restore as before.
    func holder(_ circumstances: Circumstances) -> SeenDescriptor? {
        return circumstances.descriptors.sorted { $0.key < $1.key }.lazy.flatMap(\.value).first { candidate in
            candidate.status.linkCount == 0 && candidate.status.inode == inode
                && candidate.status.device == device && DescriptionKinds.kind(of: candidate) is RegularFile.Type
        }
    }

    /// A name that leads to the watched file.
    ///
    /// - Parameter what: what watches it, for messages.
    func path(_ seen: SeenDescriptor, watchedBy what: String) throws(Problem) -> FilePath {
        let device = self.device
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
                    handle: handleBytes, kind: Int32(truncatingIfNeeded: handleKind), mount: root.raw)
                let path = FilePath(bytes: try Files.readLink(FilePath("/proc/self/fd/\(file.raw)")))
                let found = try Files.status(of: path, followLinks: false)
                if found.device == device && found.inode == inode { return path }
            } catch {
                last = error
            }
        }
        throw Problem(
            .fileUnreachable,
            "no name leads any more to what \(what) is on (inode"
                + " \(inode) of device \(device.major):\(device.minor))",
            object: seen.object, cause: .init(last, attempted: "open_by_handle_at and stat"),
            remedy:
                "Put the file back where it was, or have the program take the watch away before the dump; Apus needs"
                + " CAP_DAC_READ_SEARCH")
    }
}

/// The words of a line of fdinfo, `key:value` each, most values hexadecimal.
struct KernelWords {
    let text: [Substring: Substring]

    init(_ words: some Sequence<Substring>) {
        var text: [Substring: Substring] = [:]
        for word in words {
            let parts = word.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { text[parts[0]] = parts[1] }
        }
        self.text = text
    }

    subscript<Value: FixedWidthInteger>(_ key: Substring) -> Value? { text[key].flatMap { Value($0, radix: 16) } }

    /// A device in the kernel's own encoding: 20 bits of minor number.
    static func device(_ raw: UInt32) -> DeviceNumber { DeviceNumber(major: raw >> 20, minor: raw & 0xfffff) }
}
