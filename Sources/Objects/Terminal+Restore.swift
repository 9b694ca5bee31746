public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of the slave of a pseudo-terminal whose master was outside of the dumped tree: the terminal of the
/// caller takes its place.
public struct OutsideTerminal: Resource {
    let entry: TtyFileEntry
    let info: TtyInfoEntry
    private let key: String
    /// The dump left it outside by its key.
    private let isOutside: Bool

    public init(_ entry: TtyFileEntry, info: TtyInfoEntry, in images: CheckpointImages) {
        self.entry = entry
        self.info = info
        let outside = Self.keyLeftOutside(info, in: images)
        isOutside = outside != nil
        key =
            outside
            ?? Self.key(DeviceNumber(encoded: UInt64(info.rdev)), of: DeviceNumber(encoded: UInt64(info.dev)))
    }

    /// The beginning of the key of a terminal: its number, and not yet its file system.
    static func key(_ device: DeviceNumber) -> String { "tty[\(String(device.encoded, radix: 16)):" }

    static func key(_ device: DeviceNumber, of fileSystem: DeviceNumber) -> String {
        key(device) + "\(String(fileSystem.encoded, radix: 16))]"
    }

    /// The key by which the dump left a terminal outside; nil for one that it did not.
    public static func keyLeftOutside(_ info: TtyInfoEntry, in images: CheckpointImages) -> String? {
        if info.type == .ctty, info.hasPty {
            let beginning = key(TerminalFile.slave(info.pty.index))
            return images.supplement.keys(of: .external).first { $0.hasPrefix(beginning) }
        }
        let own = key(DeviceNumber(encoded: UInt64(info.rdev)), of: DeviceNumber(encoded: UInt64(info.dev)))
        return images.supplement[.external, own] == nil ? nil : own
    }
    private var flags: OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)).subtracting([.noControllingTerminal])
    }

    public var keys: [String] { [key] }

    public var description: String { "the caller's terminal in place of terminal \(info.id)" }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if let given = site.inherited[key] {
            if let problem = LeftOutside.problem(with: given, for: key, flags: flags) { return [problem] }
            if Terminal.isTerminal(given) { return [] }
            return [
                Problem(
                    .inheritedDescriptor, "descriptor \(given), which is to stand in for \(key), is no terminal",
                    object: .init(fd: given), remedy: "Give the slave of a pseudo-terminal")
            ]
        }
        if isOutside { return [LeftOutside.missing("the terminal", key)] }
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
        if let substitute = try site.substitute(for: key) {
            if let own = own(substitute.raw) { return own }
            return substitute
        }
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

    /// A description of its own of a terminal that was given, with the flags that the program has set.
    private func own(_ given: Int32) -> OwnedDescriptor? {
        if info.type == .ctty { return try? Terminal.openControlling(given, flags) }
        let place = FilePath("/proc/self/fd/\(given)")
        guard let own = try? Files.open(place, flags.union(.noControllingTerminal)), isSame(own.raw, given) else {
            return nil
        }
        return own
    }

    /// A name can mean another terminal here: each devpts file system counts its own.
    private func isSame(_ one: Int32, _ other: Int32) -> Bool {
        guard let one = try? Files.status(ofDescriptor: one), let other = try? Files.status(ofDescriptor: other)
        else { return false }
        return one.device == other.device && one.inode == other.inode
    }
}
