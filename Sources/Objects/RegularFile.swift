public import Diagnostics
public import Images
public import Linux
public import SystemPackage

/// A file that is opened again by its name: a regular file, a directory, a simple device, or anything by O_PATH.
public enum RegularFile: DescriptionKind {
    public static let name = "file"

    /// The major number of the memory devices (mem(4), null(4), random(4)), which keep no state for who opens them.
    private static let memoryDevices: UInt32 = 1

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard seen.hasPath, !seen.linkBegins(with: "/secretmem"), !seen.linkBegins(with: "/anon_hugepage") else {
            return false
        }
        if seen.info.flags.contains(.path) { return true }
        switch seen.status.kind {
        case .regular, .directory: return true
        case .characterDevice: return seen.status.representedDevice.major == memoryDevices
        case .symbolicLink, .blockDevice, .fifo, .socket, .anonymous, nil: return false
        }
    }

    public static func label(of seen: SeenDescriptor) -> String {
        if seen.info.flags.contains(.path) { return "path (O_PATH)" }
        return switch seen.status.kind {
        case .directory: "directory"
        case .characterDevice, .blockDevice: "device"
        case .regular, .symbolicLink, .fifo, .socket, .anonymous, nil:
            GhostFile.lostName(seen.path, seen.status) == nil ? name : "deleted file"
        }
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if externalName(seen, circumstances) != nil { return nil }
        guard var obstacle = obstacleByName(to: seen, circumstances) else { return nil }
        if let key = externalKey(of: seen) { obstacle.remedy += ". " + LeftOutside.remedy(dump: key) }
        return obstacle
    }

    private static func obstacleByName(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let problem = ProcessFile.obstacle(to: seen.path, seen.status, seen.object, circumstances.pids) {
            return problem
        }
        if ProcessFile.lostName(seen.path, seen.status) != nil { return nil }
        if ProcessFile.namedByNumber(seen.path, seen.status) != nil { return nil }
        if let name = GhostFile.lostName(seen.path, seen.status) {
            // A device is whatever leads to its driver, and not content that could be kept.
            return evaded(
                GhostFile.obstacle(
                    name, seen.status, seen.object, isShared: true, limit: circumstances.ghostLimit,
                    linking: circumstances.linkRemap), seen, circumstances)
        }
        let obstacle = obstacle(
            to: seen.path, seen.status, seen.object, followLinks: !seen.info.flags.contains(.noFollow))
        return evaded(obstacle, seen, circumstances)
    }

    /// Another name of a device is a way out, where it is allowed.
    private static func evaded(
        _ obstacle: Problem?, _ seen: SeenDescriptor, _ circumstances: Circumstances
    ) -> Problem? {
        guard var obstacle, DeviceNames.another(for: seen.status) != nil else { return obstacle }
        if circumstances.evasiveDevices { return nil }
        obstacle.remedy += ". Or allow another name of the same device with --evasive-devices"
        return obstacle
    }

    /// Whether a name leads to a file: it must lead there again at the restore.
    public static func obstacle(
        to path: FilePath, _ status: FileStatus, _ object: Problem.Object, followLinks: Bool = false
    ) -> Problem? {
        if status.linkCount == 0 {
            return Problem(
                .fileDeleted, "the file never had a name, or has been deleted", object: object,
                remedy: "Close it in the program before the dump, or give it a name (`ln`)")
        }
        let found: FileStatus
        do throws(Errno) {
            found = try Files.status(of: path, followLinks: followLinks)
        } catch {
            return Problem(
                .fileUnreachable, "the file cannot be found by its name any more", object: object,
                cause: .init(error, attempted: "stat(\"\(path)\")"),
                remedy: "Put the file back where it was, or close it before the dump")
        }
        if found.device == status.device && found.inode == status.inode { return nil }
        return Problem(
            .fileUnreachable, "another file has taken its name", object: object,
            remedy: "Put the file back where it was (its inode is \(status.inode)), or close it before the dump")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        var file = entry(seen, id: descriptions.nextID())
        file.pos = seen.info.position
        if let external = externalName(seen, descriptions.circumstances) {
            file.ext = true
            file.path = FilePath(external)
        } else if let other = evasiveName(seen, descriptions.circumstances) {
            file.path = other
        } else if let name = ProcessFile.lostName(seen.path, seen.status), let pid = ProcessFile.process(of: name) {
            file.path = name
            descriptions.ghosts.add(process: pid, description: file.id)
        } else if let name = ProcessFile.namedByNumber(seen.path, seen.status) {
            file.path = name
        } else {
            try recordLostName(of: seen, as: &file, into: descriptions)
            if file.path == seen.path {
                descriptions.needed.note(file.id, seen.path, seen.status, .init(of: seen))
            }
        }
        // fcntl(2) has no such request for O_PATH, which signals nobody.
        if seen.info.flags.contains(.path) {
            file.fown = FileOwner.none
        } else {
            let own = try descriptions.open(seen)
            file.fown = try descriptions.owner(of: seen, through: own.raw)
        }
        add(file, to: descriptions)
        return DescriptionKey(.reg, file.id)
    }

    /// Has the images keep a file that has lost its name: with its content, or by one more name where it has others.
    static func recordLostName(
        of seen: SeenDescriptor, as file: inout RegFileEntry, into descriptions: Descriptions
    ) throws(Problem) {
        guard let name = GhostFile.lostName(seen.path, seen.status) else { return }
        file.path = name
        let place = ProcessDirectory(seen.pid).path.appending("fd").appending("\(seen.number)")
        if GhostFile.hasOtherNames(seen.status) && seen.status.kind == .regular {
            try descriptions.addLink(to: seen.status, at: place, was: name, description: file.id, seen.object)
        } else {
            descriptions.ghosts.add(seen.status, at: place, description: file.id)
        }
    }

    /// The key with which `--external` names a file: mount and inode in hexadecimal.
    static func externalName(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> String? {
        guard !circumstances.external.isEmpty, let key = externalKey(of: seen) else { return nil }
        return circumstances.external.contains(key) ? key : nil
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? {
        guard let mount = seen.info.mountID else { return nil }
        return "file[\(String(mount, radix: 16)):\(String(seen.status.inode, radix: 16))]"
    }

    /// Another name for a device whose own does not lead to it (`--evasive-devices`).
    static func evasiveName(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> FilePath? {
        guard circumstances.evasiveDevices, seen.status.kind == .characterDevice else { return nil }
        let followLinks = !seen.info.flags.contains(.noFollow)
        guard obstacle(to: seen.path, seen.status, seen.object, followLinks: followLinks) != nil else { return nil }
        return DeviceNames.another(for: seen.status)
    }

    /// The message for a descriptor's file, without position and owner.
    static func entry(_ seen: SeenDescriptor, id: UInt32) -> RegFileEntry {
        entry(seen.path, seen.status, flags: seen.descriptionFlags, id: id)
    }

    /// The message for a file: its name, and by what it can be told from another.
    static func entry(_ path: FilePath, _ status: FileStatus, flags: UInt32, id: UInt32) -> RegFileEntry {
        var entry = RegFileEntry()
        entry.id = id
        entry.flags = flags
        entry.pos = 0
        entry.fown = FileOwner.none
        entry.path = path
        entry.mode = UInt32(status.mode)
        // A log that others append to meanwhile is still the same log.
        let appended = OpenFlags.writeOnly.union(.append).rawValue
        if status.kind == .regular && flags & UInt32(bitPattern: appended) != UInt32(bitPattern: appended) {
            entry.size = status.size
        }
        return entry
    }

    static func add(_ file: RegFileEntry, to descriptions: Descriptions) {
        var entry = FileEntry()
        entry.type = .reg
        entry.id = file.id
        entry.reg = file
        descriptions.add(entry)
    }

    /// Records a file that is no descriptor: a mapped one, an executable, a working directory.
    ///
    /// - Parameters:
    ///   - path: its name.
    ///   - status: of the file itself.
    ///   - mapped: whether the content matters: the build id is recorded.
    ///   - uses: what it is for.
    ///   - ghost: of a file that has lost this name, where it can be opened.
    /// - Returns: its id in the images.
    public static func capture(
        _ path: FilePath, _ status: FileStatus, mapped: Bool, for uses: NeededFile.Uses = .directory,
        ghost: FilePath? = nil, into descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        var file = entry(path, status, flags: 0, id: descriptions.nextID())
        if mapped && status.kind == .regular { file.buildID = BuildID.words(of: ghost ?? path) }
        if let ghost {
            // A copy would do for a private mapping, but there may be others of the same file.
            if descriptions.circumstances.linkRemap, GhostFile.canBeLinked(path, status) {
                try descriptions.addLink(
                    to: status, at: ghost, was: path, description: file.id, .init(path: path.string))
            } else {
                descriptions.ghosts.add(status, at: ghost, description: file.id)
            }
        } else {
            descriptions.needed.note(file.id, path, status, uses)
        }
        add(file, to: descriptions)
        return file.id
    }
}
