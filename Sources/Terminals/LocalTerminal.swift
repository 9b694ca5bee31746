internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// The terminal from which Apus was started, while it is joined to another: each key is passed on at once, and nothing is done
/// about any of them here.
final class LocalTerminal {
    let input = STDIN_FILENO
    let output = STDOUT_FILENO
    /// Where signals come as something to read (signalfd(2)).
    private(set) var signals: Int32 = -1
    private let settings: Terminal.Settings
    private var before = sigset_t()
    private var isJoined = false

    private static let heard = [SIGWINCH, SIGTERM, SIGINT, SIGHUP, SIGQUIT]

    /// - Throws: `not-a-terminal`.
    init() throws(Problem) {
        guard isatty(STDOUT_FILENO) == 1, let settings = try? Terminal.settings(STDIN_FILENO) else {
            throw Problem(
                .notATerminal, "the standard input and output are no terminal, which the other could be joined to",
                remedy: "Start it from a terminal; by ssh, with a terminal there: ssh -t HOST apus attach")
        }
        self.settings = settings
    }

    var size: Terminal.WindowSize { (try? Terminal.windowSize(output)) ?? .init(rows: 0, columns: 0) }

    /// Who is at it, in words.
    var userName: String {
        // As the shell has it: the data base of users is not to be had in a static program.
        let name = unsafe getenv("USER").map { unsafe String(cString: $0) } ?? "user \(geteuid())"
        let place = (try? Files.readLink(FilePath("/proc/self/fd/\(input)"))).map {
            String(decoding: $0, as: UTF8.self)
        }
        // Where an ssh client is: its address, its port, and those of this host.
        let client = unsafe getenv("SSH_CONNECTION").map { unsafe String(cString: $0) }?.split(separator: " ").first
        return name + (place.map { " at \($0)" } ?? "") + (client.map { " from \($0)" } ?? "")
    }

    /// Passes all keys on from now on.
    func begin() throws(Errno) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in Self.heard { unsafe sigaddset(&set, signal) }
        unsafe sigprocmask(SIG_BLOCK, &set, &before)
        signals = try Files.signals(Self.heard.reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) }).release()
        isJoined = true
        try Terminal.setSettings(input, settings.raw)
    }

    /// Gives the terminal back as it was. What programs there have switched on is switched off, where it would be in the way: the
    /// alternate screen, the mouse, bracketed paste, a hidden cursor, colours.
    func end() {
        guard isJoined else { return }
        isJoined = false
        let usual =
            "\u{1b}[?1047l\u{1b}[?1000l\u{1b}[?1002l\u{1b}[?1003l\u{1b}[?1006l\u{1b}[?2004l\u{1b}[?1l\u{1b}>\u{1b}[?25h\u{1b}[0m\r\n"
        try? Files.write(output, Array(usual.utf8))
        try? Terminal.setSettings(input, settings)
        try? Files.close(signals)
        unsafe sigprocmask(SIG_SETMASK, &before, nil)
    }

    deinit { end() }

    /// The signals that have come.
    func heardSignals() -> [Int32] {
        guard let bytes = try? Files.readSome(signals, atMost: 8 * 128) else { return [] }
        // struct signalfd_siginfo begins with the number.
        return stride(from: 0, to: bytes.count, by: 128).map { Int32(bytes[$0]) }
    }
}

extension Terminal.Settings {
    /// The same for whoever wants each key at once and as it is: what cfmakeraw(3) does.
    var raw: Self {
        var raw = self
        // IGNBRK, BRKINT, PARMRK, ISTRIP, INLCR, IGNCR, ICRNL, IXON of termios(3).
        raw.inputFlags &= ~0o2753
        // OPOST.
        raw.outputFlags &= ~0o1
        // ISIG, ICANON, ECHO, ECHONL, IEXTEN.
        raw.localFlags &= ~0o100113
        // CSIZE and PARENB, and CS8.
        raw.controlFlags = raw.controlFlags & ~0o460 | 0o60
        let (time, least) = (5, 6)
        raw.controlCharacters[time] = 0
        raw.controlCharacters[least] = 1
        return raw
    }
}
