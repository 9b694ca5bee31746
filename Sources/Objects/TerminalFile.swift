public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A terminal: the slave of a pseudo-terminal, or `/dev/tty`, whose other side is outside of the tree.
public enum TerminalFile: DescriptionKind {
    public static let name = "terminal"

    /// The major numbers of pseudo-terminals' slaves (the kernel's devices.txt).
    private static let slaves: ClosedRange<UInt32> = 136...143
    /// `/dev/tty`: the controlling terminal of whoever opens it.
    private static let controlling = DeviceNumber(major: 5, minor: 0)

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard seen.status.kind == .characterDevice, !seen.info.flags.contains(.path) else { return false }
        return slaves.contains(seen.status.representedDevice.major) || seen.status.representedDevice == controlling
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if circumstances.shellJob { return nil }
        return Problem(
            .leadsOutside, "the terminal belongs to a session outside of the tree", object: seen.object,
            remedy: "Dump and restore with --shell-job: the terminal of the restore then takes its place. Or start the"
                + " program with setsid, and its input and output in files")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let id = descriptions.nextID()
        let own = try descriptions.open(seen)
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        RegularFile.add(file, to: descriptions)
        var terminal = TtyFileEntry()
        terminal.id = id
        terminal.ttyInfoID = try info(seen, own.raw, descriptions)
        terminal.flags = seen.descriptionFlags
        terminal.fown = file.fown
        terminal.regfID = file.id
        var entry = FileEntry()
        entry.type = .tty
        entry.id = id
        entry.tty = terminal
        descriptions.add(entry)
        return DescriptionKey(.tty, id)
    }

    /// Records the terminal itself, once.
    private static func info(
        _ seen: SeenDescriptor, _ descriptor: Int32, _ descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        let rdev = UInt32(truncatingIfNeeded: seen.status.representedDevice.encoded)
        if let known = descriptions.terminals.first(where: { $0.rdev == rdev }) { return known.id }
        var info = TtyInfoEntry()
        info.id = UInt32(descriptions.terminals.count)
        info.type = seen.status.representedDevice == controlling ? .ctty : .pty
        info.rdev = rdev
        info.dev = UInt32(truncatingIfNeeded: seen.status.device.encoded)
        info.uid = seen.status.uid
        info.gid = seen.status.gid
        do throws(Errno) {
            info.locked = false
            info.exclusive = try Terminal.isExclusive(descriptor)
            info.packetMode = false
            info.termios = entry(try Terminal.settings(descriptor))
            info.termiosLocked = entry(try Terminal.locks(descriptor))
            info.winsize = entry(try Terminal.windowSize(descriptor))
        } catch {
            throw descriptions.unreadable(seen, error, "ioctl of the terminal")
        }
        adoptSession(of: seen, into: &info)
        if info.type == .pty {
            info.pty.index =
                (seen.status.representedDevice.major - slaves.lowerBound) << 8 | seen.status.representedDevice.minor
        }
        descriptions.terminals.append(info)
        return info.id
    }

    /// A terminal tells its session and its foreground group to its own session alone (ENOTTY otherwise): they are
    /// read from a process that has it as its controlling terminal.
    private static func adoptSession(of seen: SeenDescriptor, into info: inout TtyInfoEntry) {
        info.sid = 0
        info.pgrp = 0
        guard let stat = try? ProcessDirectory(seen.pid).stat() else { return }
        let isOwn = seen.status.representedDevice == controlling || stat.terminal == seen.status.representedDevice
        guard isOwn, stat.session > 0 else { return }
        info.sid = UInt32(bitPattern: stat.session)
        info.pgrp = UInt32(bitPattern: max(0, stat.terminalForeground))
    }

    /// The speeds stand in the control flags as codes, and in the image as 0.
    static func entry(_ settings: Terminal.Settings) -> TermiosEntry {
        var entry = TermiosEntry()
        entry.cIflag = settings.inputFlags
        entry.cOflag = settings.outputFlags
        entry.cCflag = settings.controlFlags
        entry.cLflag = settings.localFlags
        entry.cLine = UInt32(settings.line)
        entry.cIspeed = 0
        entry.cOspeed = 0
        entry.cCc = packed(settings.controlCharacters)
        return entry
    }

    /// The format has room for 19 words, and holds the 19 control characters in the bytes of the first five.
    static func packed(_ characters: [UInt8]) -> [UInt32] {
        var words = [UInt32](repeating: 0, count: 19)
        for (index, byte) in characters.prefix(19).enumerated() {
            words[index / 4] |= UInt32(byte) << UInt32(index % 4 * 8)
        }
        return words
    }

    private static func entry(_ size: Terminal.WindowSize) -> WinsizeEntry {
        var entry = WinsizeEntry()
        entry.wsRow = UInt32(size.rows)
        entry.wsCol = UInt32(size.columns)
        entry.wsXpixel = UInt32(size.width)
        entry.wsYpixel = UInt32(size.height)
        return entry
    }
}
