public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of the slave of a pseudo-terminal whose master was outside of the dumped tree: the terminal of the
/// caller takes its place.
public struct OutsideTerminal: Resource {
    let entry: TtyFileEntry
    let info: TtyInfoEntry

    public init(_ entry: TtyFileEntry, info: TtyInfoEntry) {
        self.entry = entry
        self.info = info
    }

    private var key: String { "tty[\(String(info.rdev, radix: 16)):\(String(info.dev, radix: 16))]" }
    private var flags: OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)).subtracting([.noControllingTerminal])
    }

    public var keys: [String] { [key] }

    public var description: String { "the caller's terminal in place of terminal \(info.id)" }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if site.inherited[key] != nil { return [] }
        guard site.shellJob else {
            return [
                Problem(
                    .noTerminal, "the tree was dumped with a terminal that was not part of it",
                    remedy: "Restore with --shell-job from the terminal that is to take its place")
            ]
        }
        guard CallersTerminal.find() != nil else {
            return [
                Problem(
                    .noTerminal, "--shell-job needs a terminal, and Apus was started without one",
                    remedy: "Start it from a terminal, or under `script -qc '...' /dev/null`")
            ]
        }
        return []
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let substitute = try site.substitute(for: key) { return substitute }
        guard let terminal = CallersTerminal.find() else {
            throw Problem(
                .noTerminal, "Apus has no terminal any more", remedy: "Start it from a terminal")
        }
        // A description of its own, so that the flags which the program sets are not the shell's. Where the name
        // leads nowhere (another mount namespace), the caller's own does.
        if let path = try? Files.readLink(FilePath("/proc/self/fd/\(terminal)")),
            let own = try? Files.open(FilePath(bytes: path), flags.union(.noControllingTerminal)),
            CallersTerminal.isTerminal(own.raw), isSame(own.raw, terminal)
        {
            return own
        }
        do throws(Errno) { return try Files.duplicate(terminal) } catch {
            throw Problem(
                .noTerminal, "the terminal cannot be opened", object: .init(fd: terminal),
                cause: .init(error, attempted: "fcntl(\(terminal), F_DUPFD_CLOEXEC)"), remedy: "Try another terminal")
        }
    }

    /// A name can mean another terminal here: each devpts file system counts its own.
    private func isSame(_ one: Int32, _ other: Int32) -> Bool {
        guard let one = try? Files.status(ofDescriptor: one), let other = try? Files.status(ofDescriptor: other)
        else { return false }
        return one.device == other.device && one.inode == other.inode
    }
}
