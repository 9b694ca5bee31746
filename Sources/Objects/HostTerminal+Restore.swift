public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of the console, of a virtual console or of a serial line.
public struct HostTerminalFile: Resource {
    private let entry: TtyFileEntry
    private let info: TtyInfoEntry
    private let file: NamedFile

    public init(_ entry: TtyFileEntry, _ info: TtyInfoEntry, _ file: RegFileEntry) {
        (self.entry, self.info, self.file) = (entry, info, NamedFile(file))
    }

    /// Whether a terminal of the images is one of a host.
    static func recognises(_ info: TtyInfoEntry) -> Bool { [.console, .vt, .serial].contains(info.type) }

    public var keys: [String] { file.keys }
    public var extraDescriptors: Int { 0 }
    public var description: String { file.description }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        let found = file.obstacles(at: site)
        if !found.isEmpty || site.inherited[file.key] != nil { return found }
        guard let status = try? Files.status(of: file.path), status.representedDevice.encoded == UInt64(info.rdev)
        else {
            return [
                Problem(
                    .fileChanged, "the terminal is another device on this host", object: .init(path: file.path.string),
                    remedy: "Give one in its place with --inherit-fd fd[N]:\(file.key)")
            ]
        }
        return []
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let substitute = try site.substitute(for: file.key) { return substitute }
        do throws(Errno) {
            // A serial line would be waited for until somebody is at its other end.
            let opened = try Files.open(file.path, file.flags.union(.noControllingTerminal).union(.nonBlocking))
            if info.type != .console && info.hasTermios { try set(opened.raw, at: site) }
            try setFlags(entry.flags, of: opened.raw)
            return opened
        } catch {
            throw Problem(
                .fileUnopenable, "the terminal cannot be opened, or not be set as it was",
                object: .init(path: file.path.string), cause: .init(error, attempted: "open, ioctl(TCSETS)"),
                remedy: "See that the device works (stty -F \(file.path.string)), or give another in its place with"
                    + " --inherit-fd fd[N]:\(file.key)")
        }
    }

    /// Gives the terminal the settings of the dump, and notes what it had.
    private func set(_ descriptor: Int32, at site: RestoreSite) throws(Errno) {
        let (present, wanted) = (try Terminal.settings(descriptor), Terminal.Settings(info.termios))
        if TerminalFile.entry(present) == info.termios { return }
        if site.changedTerminals[file.path] == nil { site.changedTerminals[file.path] = present }
        try Terminal.setSettings(descriptor, wanted)
    }
}

extension RestoreSite {
    /// Takes back what was set at terminals of this host.
    func withdrawTerminals() {
        for (path, settings) in changedTerminals {
            guard let opened = try? Files.open(path, [.readWrite, .noControllingTerminal, .nonBlocking]) else {
                continue
            }
            try? Terminal.setSettings(opened.raw, settings)
        }
        changedTerminals = [:]
    }
}
