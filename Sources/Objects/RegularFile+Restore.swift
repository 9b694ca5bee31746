public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// An open file that has a name: a regular file, a directory, a device.
public struct NamedFile: Resource {
    private(set) var entry: RegFileEntry
    /// It is only mapped.
    let isMapping: Bool

    /// It is about a process that is yet to be made.
    public let needsProcesses: Bool

    /// - Parameters:
    ///   - mappedAs: for a file that is only mapped, how the mapping needs it to be opened.
    ///   - ofProcess: it is a file of `/proc` about a process that the restore makes.
    public init(_ entry: RegFileEntry, mappedAs: UInt32? = nil, ofProcess: Bool = false) {
        self.entry = entry
        needsProcesses = ofProcess
        isMapping = mappedAs != nil
        if let mappedAs { self.entry.flags = mappedAs }
    }

    /// The same by another name.
    func with(path: FilePath) -> NamedFile {
        var other = self
        other.entry.path = path
        return other
    }

    /// Flags that mean something at the moment of opening only, and must not happen again.
    private static let onlyOnce: OpenFlags = [.create, .exclusive, .truncate, .noControllingTerminal]
    private static let typeBits: UInt32 = 0o170000

    var flags: OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)).subtracting(Self.onlyOnce)
    }

    var path: FilePath { entry.path.isAbsolute ? entry.path : FilePath("/").appending(entry.path.components) }

    /// What `--inherit-fd` calls the file.
    var key: String { path.string.hasPrefix("/") ? String(path.string.dropFirst()) : path.string }

    public var keys: [String] { [key] }

    public var extraDescriptors: Int { 0 }
    public var description: String {
        let mode = flags.contains(.readWrite) ? "read and write" : flags.contains(.writeOnly) ? "write" : "read"
        return "\(path) to \(mode)" + (entry.pos > 0 ? " at \(entry.pos)" : "")
    }

    private var isWritten: Bool { !flags.isDisjoint(with: [.writeOnly, .readWrite]) }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if let descriptor = site.inherited[key] {
            let problem = LeftOutside.problem(with: descriptor, for: key, flags: flags)
            return problem.map { [$0] } ?? []
        }
        if needsProcesses { return [] }
        if let device = site.devices[key] { return obstacles(of: device) }
        if entry.ext {
            var problem = LeftOutside.missing("the file", key)
            if key.hasPrefix("dev[") { problem.remedy += ". Or name a device: --external '\(key):PATH'" }
            return [problem]
        }
        let status: FileStatus
        let followLinks = !flags.contains(.noFollow)
        do throws(Errno) { status = try Files.status(of: path, followLinks: followLinks) } catch {
            if error == .noSuchFileOrDirectory, let found = replacement(whereMissing: true, at: site) { return found }
            return [
                Problem(
                    error == .noSuchFileOrDirectory ? .fileMissing : .fileUnopenable,
                    error == .noSuchFileOrDirectory
                        ? "the file is not there" : "the file cannot be looked at",
                    object: .init(path: path.string), cause: .init(error, attempted: "stat(\"\(path)\")"),
                    remedy: (isDirectory
                        ? "Make the directory (mkdir -p)"
                        : "Put it back with the same size and content; or take it along: dump with \(shipping)")
                        + ". Or give another in its place with --inherit-fd fd[N]:\(key)")
            ]
        }
        if entry.hasMode, UInt32(status.mode) & Self.typeBits != entry.mode & Self.typeBits {
            return [changed("is \(Self.kind(UInt32(status.mode))) now and was \(Self.kind(entry.mode))")]
        }
        if !flags.contains(.path), status.kind == .fifo || status.kind == .socket {
            // Opening it could wait for ever.
            return [changed("is \(Self.kind(UInt32(status.mode))) now")]
        }
        return status.kind == .regular ? obstacles(of: status, at: site) : []
    }

    /// Why a device cannot be opened in the place of one that was left outside.
    private func obstacles(of device: FilePath) -> [Problem] {
        do throws(Errno) {
            if UInt32(try Files.status(of: device).mode) & Self.typeBits == entry.mode & Self.typeBits { return [] }
            return [
                Problem(
                    .fileChanged, "what is to stand in for \(key) is not \(Self.kind(entry.mode))",
                    object: .init(path: device.string), remedy: "Name a device of the same kind")
            ]
        } catch {
            return [
                Problem(
                    .fileMissing, "what is to stand in for \(key) is not there", object: .init(path: device.string),
                    cause: .init(error, attempted: "stat(\"\(device)\")"), remedy: "Name a device that is")
            ]
        }
    }

    private func obstacles(of status: FileStatus, at site: RestoreSite) -> [Problem] {
        switch site.verdict(on: self, status) {
        case .accepted(let warning):
            if let found = replacement(whereMissing: false, at: site, unlessUntouched: status) { return found }
            if let warning { site.warn("\(path) \(warning)") }
            site.choose(.host(status), for: self)
            return []
        case .refused(let what):
            if let found = replacement(whereMissing: false, at: site) { return found }
            return [changed(what)]
        }
    }

    private var isDirectory: Bool { entry.hasMode && entry.mode & Self.typeBits == 0o040000 }

    /// How a dump takes it along, and a restore lets it be replaced.
    private var shipping: String { isWritten ? "--ship all, and restore with --overwrite-files" : "--ship auto" }

    private func changed(_ what: String) -> Problem {
        Problem(
            .fileChanged, "the file \(what)", object: .init(path: path.string),
            remedy: "Put the file back as it was at the dump, dump with \(shipping), say with"
                + " --file '\(path)=POLICY' how far it may differ, or give another in its place with --inherit-fd"
                + " fd[N]:\(key)")
    }

    private static func kind(_ mode: UInt32) -> String {
        switch mode & typeBits {
        case 0o100000: "a regular file"
        case 0o040000: "a directory"
        case 0o020000: "a character device"
        case 0o060000: "a block device"
        case 0o010000: "a named pipe"
        case 0o140000: "a socket"
        case 0o120000: "a symbolic link"
        default: "something else"
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let substitute = try site.substitute(for: key) { return substitute }
        if let device = site.devices[key] { return try seeking(with(path: device).openHere(nil, at: site)) }
        let choice = site.choice(for: self)
        switch choice {
        case .copy(let digest): return try site.copies.open(digest, flags)
        case .placed(let placing): return try seeking(placing.open(flags, from: site))
        case .host, nil: break
        }
        return try seeking(openHere(choice, at: site))
    }

    /// Opens this host's own file, which has to be the one that was looked at.
    private func openHere(_ choice: FileChoice?, at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            // A terminal must not become Apus' controlling one.
            let opened = try Files.open(path, flags.union(.noControllingTerminal))
            guard case .host(let seen)? = choice else { return opened }
            let now = try Files.status(ofDescriptor: opened.raw)
            let isSame = now.device == seen.device && now.inode == seen.inode
            let isWritten = !site.uses(of: self).isDisjoint(with: .written)
            if isSame && (isWritten || now.size == seen.size && now.modified == seen.modified) { return opened }
        } catch {
            throw Problem(
                error == .noSuchFileOrDirectory ? .fileMissing : .fileUnopenable, "the file cannot be opened",
                object: .init(path: path.string), cause: .init(error, attempted: "open(\"\(path)\")"),
                remedy: "Put the file back as it was at the dump, and see that its file system is mounted")
        }
        throw changed("has changed since it was looked at, a moment ago")
    }

    /// Sets the position.
    private func seeking(_ descriptor: consuming OwnedDescriptor) throws(Problem) -> OwnedDescriptor {
        guard entry.pos != 0, !flags.contains(.path) else { return descriptor }
        do throws(Errno) {
            _ = try Files.seek(descriptor.raw, to: Int64(bitPattern: entry.pos))
        } catch {
            // Devices without positions keep a number all the same.
            if error != .illegalSeek {
                throw Problem(
                    .fileUnopenable, "the position in the file cannot be set", object: .init(path: path.string),
                    cause: .init(error, attempted: "lseek(\(entry.pos))"),
                    remedy: "Put the file back as it was at the dump")
            }
        }
        return descriptor
    }
}
