internal import CLinux
internal import Glibc
public import SystemPackage

/// Terminals: the requests of ioctl_tty(2), typed.
public enum Terminal {
    /// The kernel's settings of a terminal (struct termios2; without speeds, struct termios).
    public struct Settings: Sendable, Hashable {
        public var inputFlags, outputFlags, controlFlags, localFlags: UInt32
        /// The line discipline.
        public var line: UInt8
        /// Always 19 (NCCS of the kernel).
        public var controlCharacters: [UInt8]
        /// In bits per second; nil where they were not asked for.
        public var inputSpeed, outputSpeed: UInt32?

        public init(
            inputFlags: UInt32, outputFlags: UInt32, controlFlags: UInt32, localFlags: UInt32, line: UInt8,
            controlCharacters: [UInt8], inputSpeed: UInt32? = nil, outputSpeed: UInt32? = nil
        ) {
            self.inputFlags = inputFlags
            self.outputFlags = outputFlags
            self.controlFlags = controlFlags
            self.localFlags = localFlags
            self.line = line
            self.controlCharacters = controlCharacters
            self.inputSpeed = inputSpeed
            self.outputSpeed = outputSpeed
        }
    }

    /// The size of a window (TIOCGWINSZ).
    public struct WindowSize: Sendable, Hashable {
        /// In characters.
        public var rows, columns: UInt16
        /// In pixels; seldom set.
        public var width, height: UInt16

        public init(rows: UInt16, columns: UInt16, width: UInt16 = 0, height: UInt16 = 0) {
            self.rows = rows
            self.columns = columns
            self.width = width
            self.height = height
        }
    }

    /// Whether the descriptor is a terminal (isatty(3)).
    public static func isTerminal(_ descriptor: Int32) -> Bool {
        (try? settings(descriptor)) != nil
    }

    /// The settings with their speeds (TCGETS2).
    ///
    /// - Throws: ENOTTY for what is no terminal; EIO for one that was hung up.
    public static func settings(_ descriptor: Int32) throws(Errno) -> Settings {
        var raw = apus_termios2()
        try request(descriptor, APUS_TCGETS2, &raw)
        return Settings(
            inputFlags: raw.input_flags, outputFlags: raw.output_flags, controlFlags: raw.control_flags,
            localFlags: raw.local_flags, line: raw.line, controlCharacters: array(raw.control_characters),
            inputSpeed: raw.input_speed, outputSpeed: raw.output_speed)
    }

    /// Sets them at once (TCSETS2, or TCSETS where no speeds are given). Needs no foreground: but SIGTTOU may be sent
    /// to a caller in the background of its own controlling terminal.
    ///
    /// - Throws: EINVAL where there are not 19 control characters.
    public static func setSettings(_ descriptor: Int32, _ settings: Settings) throws(Errno) {
        guard let characters = inline(settings.controlCharacters) else { throw .invalidArgument }
        if let inputSpeed = settings.inputSpeed, let outputSpeed = settings.outputSpeed {
            var raw = apus_termios2(
                input_flags: settings.inputFlags, output_flags: settings.outputFlags,
                control_flags: settings.controlFlags, local_flags: settings.localFlags, line: settings.line,
                control_characters: characters, input_speed: inputSpeed, output_speed: outputSpeed)
            try request(descriptor, APUS_TCSETS2, &raw)
        } else {
            var raw = self.raw(settings, characters)
            try request(descriptor, APUS_TCSETS, &raw)
        }
    }

    /// Which bits of the settings are locked (TIOCGLCKTRMIOS): a mask of bits in the shape of settings.
    public static func locks(_ descriptor: Int32) throws(Errno) -> Settings {
        var raw = apus_termios()
        try request(descriptor, APUS_TIOCGLCKTRMIOS, &raw)
        return Settings(
            inputFlags: raw.input_flags, outputFlags: raw.output_flags, controlFlags: raw.control_flags,
            localFlags: raw.local_flags, line: raw.line, controlCharacters: array(raw.control_characters))
    }

    /// Locks bits of the settings (TIOCSLCKTRMIOS). Needs CAP_SYS_ADMIN.
    public static func setLocks(_ descriptor: Int32, _ locks: Settings) throws(Errno) {
        guard let characters = inline(locks.controlCharacters) else { throw .invalidArgument }
        var raw = self.raw(locks, characters)
        try request(descriptor, APUS_TIOCSLCKTRMIOS, &raw)
    }

    public static func windowSize(_ descriptor: Int32) throws(Errno) -> WindowSize {
        var raw = apus_window_size()
        try request(descriptor, APUS_TIOCGWINSZ, &raw)
        return WindowSize(rows: raw.rows, columns: raw.columns, width: raw.width, height: raw.height)
    }

    /// A change sends SIGWINCH to the foreground process group.
    public static func setWindowSize(_ descriptor: Int32, _ size: WindowSize) throws(Errno) {
        var raw = apus_window_size(rows: size.rows, columns: size.columns, width: size.width, height: size.height)
        try request(descriptor, APUS_TIOCSWINSZ, &raw)
    }
}

/// Sessions and process groups.
extension Terminal {
    /// The foreground process group (TIOCGPGRP); 0 where it is in no pid namespace of the caller's.
    ///
    /// - Throws: ENOTTY unless it is the caller's controlling terminal, or the caller holds the master of a pty.
    public static func foregroundGroup(_ descriptor: Int32) throws(Errno) -> Int32 {
        try number(descriptor, APUS_TIOCGPGRP)
    }

    /// TIOCSPGRP: of the caller's own controlling terminal, to a group of its session.
    public static func setForegroundGroup(_ descriptor: Int32, _ group: Int32) throws(Errno) {
        var group = group
        try request(descriptor, APUS_TIOCSPGRP, &group)
    }

    /// The session that the terminal controls (TIOCGSID).
    ///
    /// - Throws: ENOTTY as for `foregroundGroup`, and where it controls none.
    public static func session(_ descriptor: Int32) throws(Errno) -> Int32 {
        try number(descriptor, APUS_TIOCGSID)
    }

    /// TIOCSCTTY: makes it the controlling terminal of the caller, a session leader without one.
    ///
    /// - Parameter steal: take it from another session, which needs CAP_SYS_ADMIN.
    public static func makeControlling(_ descriptor: Int32, steal: Bool = false) throws(Errno) {
        try call(Int(SYS_ioctl), UInt(signed: descriptor), APUS_TIOCSCTTY, steal ? 1 : 0)
    }

    /// TIOCEXCL, TIOCNXCL: whether nobody but CAP_SYS_ADMIN may open it any more.
    public static func setExclusive(_ descriptor: Int32, _ exclusive: Bool) throws(Errno) {
        try call(Int(SYS_ioctl), UInt(signed: descriptor), exclusive ? APUS_TIOCEXCL : APUS_TIOCNXCL, 0)
    }

    /// TIOCGEXCL.
    public static func isExclusive(_ descriptor: Int32) throws(Errno) -> Bool {
        try number(descriptor, APUS_TIOCGEXCL) != 0
    }
}

/// Pseudo-terminals, by the descriptor of the master (pty(7)).
extension Terminal {
    /// The number of the pair, N of `/dev/pts/N` (TIOCGPTN).
    ///
    /// - Throws: ENOTTY for what is no master.
    public static func pairNumber(_ master: Int32) throws(Errno) -> Int32 {
        try number(master, APUS_TIOCGPTN)
    }

    /// TIOCGPTLCK: a new pair is locked; its slave cannot be opened.
    public static func isLocked(_ master: Int32) throws(Errno) -> Bool {
        try number(master, APUS_TIOCGPTLCK) != 0
    }

    /// TIOCSPTLCK.
    public static func setLocked(_ master: Int32, _ locked: Bool) throws(Errno) {
        var value: Int32 = locked ? 1 : 0
        try request(master, APUS_TIOCSPTLCK, &value)
    }

    /// TIOCGPKT: packet mode.
    public static func isPacketMode(_ master: Int32) throws(Errno) -> Bool {
        try number(master, APUS_TIOCGPKT) != 0
    }

    /// TIOCPKT.
    public static func setPacketMode(_ master: Int32, _ packets: Bool) throws(Errno) {
        var value: Int32 = packets ? 1 : 0
        try request(master, APUS_TIOCPKT, &value)
    }

    /// TIOCGPTPEER, since Linux 4.13: opens the slave, whatever is mounted on `/dev/pts`.
    public static func openPeer(_ master: Int32, _ flags: OpenFlags) throws(Errno) -> OwnedDescriptor {
        let number = try call(
            Int(SYS_ioctl), UInt(signed: master), APUS_TIOCGPTPEER,
            UInt(signed: flags.subtracting(.closeOnExec).rawValue))
        // Not as a flag: unlike open(2), this call leaves it among those of the description, where everybody sees it.
        let slave = OwnedDescriptor(owning: Int32(number))
        try Files.setClosesOnExec(slave.raw, true)
        return slave
    }

    /// Opens a new pair, its slave locked (posix_openpt(3)).
    ///
    /// - Parameter devpts: the mounted file system whose pair it becomes.
    public static func openPair(devpts: FilePath = "/dev/pts") throws(Errno) -> OwnedDescriptor {
        do {
            return try Files.open(devpts.appending("ptmx"), [.readWrite, .noControllingTerminal])
        } catch {
            // The node within devpts is closed to all by default; /dev/ptmx is another name of the usual one.
            if devpts != "/dev/pts" { throw error }
            return try Files.open("/dev/ptmx", [.readWrite, .noControllingTerminal])
        }
    }
}

extension Terminal {
    private static func request<Value>(_ descriptor: Int32, _ number: UInt, _ value: inout Value) throws(Errno) {
        _ = try withAddress(of: &value) { outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), number, $0) }
    }

    static func number(_ descriptor: Int32, _ number: UInt) throws(Errno) -> Int32 {
        var value: Int32 = 0
        try request(descriptor, number, &value)
        return value
    }

    private static func raw(_ settings: Settings, _ characters: ControlCharacters) -> apus_termios {
        apus_termios(
            input_flags: settings.inputFlags, output_flags: settings.outputFlags,
            control_flags: settings.controlFlags, local_flags: settings.localFlags, line: settings.line,
            control_characters: characters)
    }

    // A C array of 19 bytes is a tuple in Swift.
    private typealias ControlCharacters = (
        UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
        UInt8, UInt8, UInt8, UInt8
    )

    private static func array(_ c: ControlCharacters) -> [UInt8] {
        [
            c.0, c.1, c.2, c.3, c.4, c.5, c.6, c.7, c.8, c.9, c.10, c.11, c.12, c.13, c.14, c.15, c.16, c.17, c.18,
        ]
    }

    private static func inline(_ a: [UInt8]) -> ControlCharacters? {
        guard a.count == 19 else { return nil }
        return (
            a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15],
            a[16], a[17], a[18]
        )
    }
}

extension Terminal {
    /// What a terminal of the host is used for that is more than text, in words; nil for nothing.
    ///
    /// KDGETMODE, KDGKBMODE and VT_GETMODE of ioctl_console(2) are known to virtual consoles alone; TIOCGETD is of all terminals.
    public static func specialUse(of descriptor: Int32) -> String? {
        let (discipline, display, keyboard, switching): (UInt, UInt, UInt, UInt) = (0x5424, 0x4b3b, 0x4b44, 0x5601)
        func number(_ question: UInt) -> UInt64? {
            // Room for all of them: an int, a long, a struct vt_mode.
            var value: UInt64 = 0
            let answer = try? withAddress(of: &value) {
                outcome(of: Int(SYS_ioctl), UInt(signed: descriptor), question, $0)
            }
            return answer == nil ? nil : value
        }
        if let found = number(discipline), found != 0 {
            return "it is no line of text (line discipline \(found), TIOCGETD)"
        }
        if number(display) == 1 { return "its display is in graphics mode (KD_GRAPHICS)" }
        // K_XLATE, K_UNICODE.
        if let mode = number(keyboard), ![1, 3].contains(mode) {
            return "its keyboard gives more than text (KDSKBMODE)"
        }
        if let mode = number(switching), mode & 0xff != 0 {
            return "the program is asked before others switch to it (VT_PROCESS)"
        }
        return nil
    }
}
