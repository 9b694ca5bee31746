public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A terminal of the host: the console, a virtual console (console(4)), a serial line (ttyS(4)).
///
/// It is no part of the tree, as a file is not: the restore opens it by its name. A virtual console and a serial line get
/// the settings that the program has given them; the console, which everybody writes to, is left as it is.
public enum HostTerminal: DescriptionKind {
    public static let name = "terminal of the host"

    /// What terminals a device can be, by the kernel's list of devices.
    static func type(of device: DeviceNumber) -> TtyType? {
        switch (device.major, device.minor) {
        case (5, 1): .console
        case (4, 0...63): .vt
        // Of the processor board, and on USB, of other makers, and of hypervisors.
        case (4, _), (166, _), (188, _), (204, _), (229, _): .serial
        default: nil
        }
    }

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.hasPath && seen.status.kind == .characterDevice && !seen.info.flags.contains(.path)
            && type(of: seen.status.representedDevice) != nil
    }

    public static func label(of seen: SeenDescriptor) -> String {
        switch type(of: seen.status.representedDevice) {
        case .console: "console"
        case .vt: "virtual console"
        default: "serial line"
        }
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? { RegularFile.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if Device.externalName(seen, circumstances) != nil { return nil }
        // Its name has to lead to it, or another where that is allowed.
        if let problem = RegularFile.obstacle(to: seen, circumstances) { return problem }
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let use = Terminal.specialUse(of: copy.raw)
        else { return nil }
        var problem = Problem(
            .unsupported, "\(label(of: seen)) \(seen.linkText) cannot be carried: \(use)", object: seen.object,
            remedy: "Have the program give that up before the dump")
        if let key = externalKey(of: seen) { problem.remedy += ". " + LeftOutside.remedy(dump: key) }
        return problem
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        if Device.externalName(seen, descriptions.circumstances) != nil {
            return try Device.capture(seen, into: descriptions)
        }
        let id = descriptions.nextID()
        let own = try descriptions.open(seen)
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        if let other = RegularFile.evasiveName(seen, descriptions.circumstances) { file.path = other }
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        RegularFile.add(file, to: descriptions)
        if let waiting = try? Files.readableBytes(own.raw), waiting > 0 {
            descriptions.note(
                loss:
                    "process \(seen.pid), descriptor \(seen.number): what was typed at \(seen.linkText) and is not read yet"
                    + " (\(waiting) bytes) stays with that terminal")
        }
        var terminal = TtyFileEntry()
        terminal.id = id
        terminal.ttyInfoID = try info(seen, own.raw, descriptions)
        terminal.flags = seen.descriptionFlags
        terminal.fown = file.fown
        terminal.regfID = file.id
        return descriptions.record(.tty, id) { $0.tty = terminal }
    }

    private static func info(
        _ seen: SeenDescriptor, _ descriptor: Int32, _ descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        let device = UInt32(truncatingIfNeeded: seen.status.representedDevice.encoded)
        if let known = descriptions.terminals.first(where: { $0.rdev == device && $0.type != .pty && $0.type != .ctty })
        {
            return known.id
        }
        var info = TtyInfoEntry()
        info.id = TerminalFile.freeID(among: descriptions.terminals)
        info.type = type(of: seen.status.representedDevice) ?? .serial
        (info.rdev, info.dev) = (device, UInt32(truncatingIfNeeded: seen.status.device.encoded))
        (info.uid, info.gid) = (seen.status.uid, seen.status.gid)
        (info.sid, info.pgrp) = (0, 0)
        do throws(Errno) {
            try TerminalFile.readState(of: descriptor, isMaster: false, into: &info)
        } catch {
            throw descriptions.unreadable(seen, error, "ioctl of the terminal")
        }
        descriptions.terminals.append(info)
        return info.id
    }
}
