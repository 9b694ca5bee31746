public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// An open file that has a name: a regular file, a directory, a device.
public struct NamedFile: Resource {
    private var entry: RegFileEntry

    /// It is about a process that is yet to be made.
    public let needsProcesses: Bool

    /// - Parameters:
    ///   - mappedAs: for a file that is only mapped, how the mapping needs it to be opened.
    ///   - ofProcess: it is a file of `/proc` about a process that the restore makes.
    public init(_ entry: RegFileEntry, mappedAs: UInt32? = nil, ofProcess: Bool = false) {
        self.entry = entry
        needsProcesses = ofProcess
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

    private var flags: OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)).subtracting(Self.onlyOnce)
    }

    private var path: FilePath { entry.path.isAbsolute ? entry.path : FilePath("/").appending(entry.path.components) }

    /// What `--inherit-fd` calls the file.
    private var key: String { path.string.hasPrefix("/") ? String(path.string.dropFirst()) : path.string }

    public var keys: [String] { [key] }

    public var description: String {
        let mode = flags.contains(.readWrite) ? "read and write" : flags.contains(.writeOnly) ? "write" : "read"
        return "\(path) to \(mode)" + (entry.pos > 0 ? " at \(entry.pos)" : "")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if let descriptor = site.inherited[key] {
            let problem = LeftOutside.problem(with: descriptor, for: key, flags: flags)
            return problem.map { [$0] } ?? []
        }
        if needsProcesses { return [] }
        if entry.ext { return [LeftOutside.missing("the file", key)] }
        let status: FileStatus
        let followLinks = !flags.contains(.noFollow)
        do throws(Errno) { status = try Files.status(of: path, followLinks: followLinks) } catch {
            return [
                Problem(
                    error == .noSuchFileOrDirectory ? .fileMissing : .fileUnopenable,
                    error == .noSuchFileOrDirectory
                        ? "the file is not there" : "the file cannot be looked at",
                    object: .init(path: path.string), cause: .init(error, attempted: "stat(\"\(path)\")"),
                    remedy: "Put it back with the same size and content, or give another in its place with"
                        + " --inherit-fd fd[N]:\(key)")
            ]
        }
        var found: [Problem] = []
        if entry.hasMode, UInt32(status.mode) & Self.typeBits != entry.mode & Self.typeBits {
            found.append(changed("is \(Self.kind(UInt32(status.mode))) now and was \(Self.kind(entry.mode))"))
        } else if !flags.contains(.path), status.kind == .fifo || status.kind == .socket {
            // Opening it could wait for ever.
            found.append(changed("is \(Self.kind(UInt32(status.mode))) now"))
        } else if entry.hasSize, status.kind == .regular, status.size != entry.size {
            found.append(changed("has \(status.size) bytes now and had \(entry.size)"))
        }
        return found
    }

    private func changed(_ what: String) -> Problem {
        Problem(
            .fileChanged, "the file \(what)", object: .init(path: path.string),
            remedy: "Put the file back as it was at the dump, or give another in its place with"
                + " --inherit-fd fd[N]:\(key)")
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
        do throws(Errno) {
            // A terminal must not become Apus' controlling one.
            let descriptor = try Files.open(path, flags.union(.noControllingTerminal))
            if entry.pos != 0, !flags.contains(.path) {
                do throws(Errno) {
                    _ = try Files.seek(descriptor.raw, to: Int64(bitPattern: entry.pos))
                } catch {
                    // Devices without positions keep a number all the same.
                    if error != .illegalSeek { throw error }
                }
            }
            return descriptor
        } catch {
            throw Problem(
                error == .noSuchFileOrDirectory ? .fileMissing : .fileUnopenable, "the file cannot be opened",
                object: .init(path: path.string), cause: .init(error, attempted: "open(\"\(path)\")"),
                remedy: "Put the file back as it was at the dump, and see that its file system is mounted")
        }
    }
}
