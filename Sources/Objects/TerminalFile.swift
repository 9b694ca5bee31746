public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage

/// A terminal: the slave of a pseudo-terminal, `/dev/tty`, or a master (pty(7)).
///
/// A slave whose master the tree has too is carried with it, and with what is queued between them. One whose master is
/// outside is another's terminal: whoever restores provides one (`--shell-job`). One whose master has gone is hung up, and
/// will be again.
public enum TerminalFile: DescriptionKind {
    public static let name = "terminal"

    /// The major numbers of pseudo-terminals' slaves (the kernel's devices.txt).
    private static let slaves: ClosedRange<UInt32> = 136...143
    /// `/dev/tty`: the controlling terminal of whoever opens it.
    static let controlling = DeviceNumber(major: 5, minor: 0)
    /// `/dev/ptmx`: a new master for whoever opens it.
    public static let multiplexer = DeviceNumber(major: 5, minor: 2)

    /// The number of the pair whose slave a device is.
    public static func index(of device: DeviceNumber) -> UInt32? {
        slaves.contains(device.major) ? (device.major - slaves.lowerBound) << 8 | device.minor : nil
    }

    /// The slave of a pair.
    static func slave(_ index: UInt32) -> DeviceNumber {
        DeviceNumber(major: slaves.lowerBound + (index >> 8) % 8, minor: index & 0xff)
    }

    public static func isMaster(_ seen: SeenDescriptor) -> Bool {
        seen.status.kind == .characterDevice && !seen.info.flags.contains(.path)
            && seen.status.representedDevice == multiplexer
    }

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard seen.status.kind == .characterDevice, !seen.info.flags.contains(.path) else { return false }
        return index(of: seen.status.representedDevice) != nil || seen.status.representedDevice == controlling
            || seen.status.representedDevice == multiplexer
    }

    /// The key by which a terminal is left outside, as CRIU has it; nil for a master.
    public static func externalKey(of seen: SeenDescriptor) -> String? {
        if isMaster(seen) { return nil }
        return OutsideTerminal.key(behind(seen) ?? seen.status.representedDevice, of: seen.status.device)
    }

    /// The terminal that `/dev/tty` leads to.
    private static func behind(_ seen: SeenDescriptor) -> DeviceNumber? {
        guard seen.status.representedDevice == controlling, let process = try? Processes.open(thread: seen.pid),
            let own = try? Processes.descriptor(seen.number, of: process.raw)
        else { return nil }
        return try? Terminal.device(own.raw)
    }

    /// By which of the keys that the user gave a terminal stays outside. `/dev/tty` does not tell the file system of its
    /// terminal.
    private static func leftOutside(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> String? {
        guard !circumstances.external.isEmpty, !isMaster(seen) else { return nil }
        guard let device = behind(seen) else {
            return externalKey(of: seen).flatMap { circumstances.external.contains($0) ? $0 : nil }
        }
        return circumstances.external.first { $0.hasPrefix(OutsideTerminal.key(device)) }
    }

    /// Whether the controlling terminal of a process stays outside, and its session is in the tree.
    public static func isLeftOutside(_ stat: TaskStat, _ circumstances: Circumstances) -> Bool {
        let key = OutsideTerminal.key(stat.terminal)
        return circumstances.pids.contains(stat.session) && circumstances.external.contains { $0.hasPrefix(key) }
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let pair = circumstances.terminals.pair(of: seen) { return obstacle(to: seen, of: pair) }
        if isMaster(seen) || isHungUp(seen) || circumstances.shellJob { return nil }
        if leftOutside(seen, circumstances) != nil { return nil }
        let provided = externalKey(of: seen).map { ". " + LeftOutside.remedy(dump: $0) } ?? ""
        return Problem(
            .leadsOutside, "the terminal belongs to a session outside of the tree", object: seen.object,
            remedy: "Dump and restore with --shell-job: the terminal of the restore then takes its place. Or start the"
                + " program with setsid, and its input and output in files" + provided)
    }

    private static func obstacle(to seen: SeenDescriptor, of pair: TerminalPair) -> Problem? {
        if let outsider = pair.outsider {
            return Problem(
                .leadsOutside, "terminal \(pair.path) is also open outside of the tree, in \(outsider)",
                object: seen.object, remedy: "Close it there, or dump the tree that has both")
        }
        if isMaster(seen), hasNews(seen) {
            return Problem(
                .underWay, "the master of terminal \(pair.path) has yet to be told of a change (packet mode)",
                object: seen.object, remedy: "Dump again when the process has read it")
        }
        if let status = try? Files.status(of: pair.path), status.device == pair.slave.device,
            status.representedDevice == pair.slave.representedDevice
        {
            return nil
        }
        return Problem(
            .unsupported, "its terminal is not to be found as \(pair.path): it is of another devpts file system",
            object: seen.object,
            remedy: "Run Apus where that file system is mounted: nsenter -t \(seen.pid) -m apus ...")
    }

    /// Whether a packet of status waits for the reader of a master (TIOCPKT): it can be read once only.
    private static func hasNews(_ seen: SeenDescriptor) -> Bool {
        guard let process = try? Processes.open(thread: seen.pid),
            let own = try? Processes.descriptor(seen.number, of: process.raw)
        else { return false }
        var entries = [Files.PollEntry(own.raw, .priority)]
        _ = try? Files.poll(&entries, timeout: 0)
        return entries[0].returned.contains(.priority)
    }

    /// Whether the other side has gone: then there is nothing more to be read from it or asked of it.
    private static func isHungUp(_ seen: SeenDescriptor) -> Bool {
        guard let process = try? Processes.open(thread: seen.pid),
            let own = try? Processes.descriptor(seen.number, of: process.raw)
        else { return false }
        do throws(Errno) {
            _ = try Terminal.settings(own.raw)
            return false
        } catch {
            return error == .ioError
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let id = descriptions.nextID()
        let own = try descriptions.open(seen)
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        // The name of a slave whose master has gone: by its number CRIU finds that this is one without a master.
        if let last = file.path.lastComponent?.string, last.hasSuffix(GhostFile.mark) {
            file.path = file.path.removingLastComponent().appending(String(last.dropLast(GhostFile.mark.count)))
        }
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
        let pair = descriptions.circumstances.terminals.pair(of: seen)
        var info = TtyInfoEntry()
        info.rdev = UInt32(truncatingIfNeeded: seen.status.representedDevice.encoded)
        info.dev = UInt32(truncatingIfNeeded: seen.status.device.encoded)
        info.type = seen.status.representedDevice == controlling ? .ctty : .pty
        let outside = pair == nil ? leftOutside(seen, descriptions.circumstances) : nil
        if let outside { descriptions.leaveOutside(outside) }
        let device = (outside == nil ? nil : behind(seen)) ?? seen.status.representedDevice
        if let index = pair?.key.index ?? index(of: device) { info.pty.index = index }
        let isHungUp = isHungUp(seen)
        let known = descriptions.terminals.first {
            $0.rdev == info.rdev && $0.dev == info.dev && $0.pty.index == info.pty.index && $0.hasTermios == !isHungUp
        }
        if let known { return known.id }
        info.id = id(for: info, isMaster: isMaster(seen), among: descriptions.terminals)
        info.uid = seen.status.uid
        info.gid = seen.status.gid
        (info.sid, info.pgrp) = (0, 0)
        (info.locked, info.exclusive, info.packetMode) = (false, false, false)
        if !isHungUp {
            do throws(Errno) { try readState(of: descriptor, isMaster: isMaster(seen), into: &info) } catch {
                throw descriptions.unreadable(seen, error, "ioctl of the terminal")
            }
            adoptSession(of: seen, pair, into: &info)
        }
        descriptions.terminals.append(info)
        if isMaster(seen), let pair {
            try TerminalQueues.capture(seen, descriptor, info.id, pair, into: descriptions)
        }
        return info.id
    }

    /// CRIU finds by the ids which sides belong to each other: a slave has twice the number of the pair, its master one more. An
    /// even id without the odd one after it is an error to it. What has no number of its own is given an odd one.
    private static func id(for info: TtyInfoEntry, isMaster: Bool, among others: [TtyInfoEntry]) -> UInt32 {
        let taken = Set(others.map(\.id))
        let wanted = info.pty.index &* 2 &+ (isMaster ? 1 : 0)
        if info.type == .pty, !taken.contains(wanted) { return wanted }
        return freeID(among: others)
    }

    /// An id that is no pair's.
    static func freeID(among others: [TtyInfoEntry]) -> UInt32 {
        let taken = Set(others.map(\.id))
        var free: UInt32 = 1001
        while taken.contains(free) { free += 2 }
        return free
    }

    static func readState(
        of descriptor: Int32, isMaster: Bool, into info: inout TtyInfoEntry
    ) throws(Errno) {
        info.locked = isMaster ? try Terminal.isLocked(descriptor) : false
        info.packetMode = isMaster ? try Terminal.isPacketMode(descriptor) : false
        info.exclusive = try Terminal.isExclusive(descriptor)
        info.termios = entry(try Terminal.settings(descriptor))
        info.termiosLocked = entry(try Terminal.locks(descriptor))
        info.winsize = entry(try Terminal.windowSize(descriptor))
    }

    /// A terminal tells its session and its foreground group to its own session and to its master alone (ENOTTY
    /// otherwise): where the master is outside, they are read from a process that has it as its controlling terminal.
    private static func adoptSession(of seen: SeenDescriptor, _ pair: TerminalPair?, into info: inout TtyInfoEntry) {
        if let pair {
            // A master controls nobody.
            guard !isMaster(seen) else { return }
            info.sid = UInt32(bitPattern: max(0, pair.session))
            info.pgrp = UInt32(bitPattern: max(0, pair.foreground))
            return
        }
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
