internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// The restored tree as a job of the caller's terminal, until its root ends.
struct Job {
    private let root: Int32
    private let foreground: Int32?
    /// The caller's terminal and its settings from before, where the tree has taken it.
    private let terminal: (descriptor: Int32, settings: Terminal.Settings?)?

    /// Gives the terminal to the tree: its settings, and its foreground process group.
    init(_ plan: RestorePlan, _ options: RestoreOptions) throws(Problem) {
        root = plan.tasks[0].pid
        foreground = plan.foreground
        guard options.shellJob, let own = CallersTerminal.find(), !plan.terminals.isEmpty else {
            terminal = nil
            return
        }
        terminal = (own, try? Terminal.settings(own))
        do throws(Errno) {
            for one in plan.terminals where one.info.hasTermios {
                try Job.withoutBackgroundStops { () throws(Errno) in
                    try Terminal.setSettings(own, Terminal.Settings(one.info.termios))
                }
            }
            try Job.resize(own, plan)
            if let group = plan.foreground {
                try Job.withoutBackgroundStops { () throws(Errno) in try Terminal.setForegroundGroup(own, group) }
            }
        } catch {
            takeTerminalBack()
            throw Problem(
                .noTerminal, "the terminal cannot be given to the tree", object: .init(fd: own),
                cause: .init(error, attempted: "ioctl(TCSETS, TIOCSPGRP)"),
                remedy: Job.remedy(plan))
        }
    }

    /// A terminal is that of one session, and here it is that of Apus.
    private static func remedy(_ plan: RestorePlan) -> String {
        let own = plan.terminals.first { one in
            plan.tasks.contains { $0.pid == Int32(truncatingIfNeeded: one.info.sid) }
        }
        guard let info = own?.info else { return "Start Apus in the foreground of the terminal" }
        let key = "tty[\(String(info.rdev, radix: 16)):\(String(info.dev, radix: 16))]"
        return
            "The tree brings a session of its own along, which this terminal cannot belong to as well. Restore it without"
            + " --shell-job, and give it a terminal that is no session's, open as descriptor N of Apus: --inherit-fd fd[N]:\(key)"
    }

    /// The new terminal's own size stands, and the program is told once it runs; one that has none gets the old size.
    private static func resize(_ terminal: Int32, _ plan: RestorePlan) throws(Errno) {
        guard let info = plan.terminals.first?.info, info.hasWinsize else { return }
        let size = try Terminal.windowSize(terminal)
        guard size.rows == 0 && size.columns == 0 else { return }
        try Terminal.setWindowSize(terminal, .init(info.winsize))
    }

    /// Tells the program that its terminal has another size than the one that it was dumped with.
    func announceSize(_ plan: RestorePlan) {
        guard let terminal, let foreground, let info = plan.terminals.first?.info, info.hasWinsize,
            let size = try? Terminal.windowSize(terminal.descriptor),
            UInt32(size.rows) != info.winsize.wsRow || UInt32(size.columns) != info.winsize.wsCol
        else { return }
        try? Processes.kill(-foreground, signal: SIGWINCH)
    }

    /// Waits until the root ends. Where it stops, Apus stops too, so that the shell sees a stopped job; where Apus is
    /// continued, so is the tree.
    ///
    /// - Returns: the root's exit status; Apus ends by the signal by which the root ended.
    func wait() -> Int32 {
        while true {
            guard let change = try? Processes.wait(for: root, [.stopped, .all]) else { return 0 }
            switch change.status {
            case .exited(let code):
                takeTerminalBack()
                return code
            case .killed(let signal, dumpedCore: _):
                takeTerminalBack()
                return Job.end(by: signal)
            case .stopped:
                takeTerminalBack()
                raise(SIGSTOP)
                if let terminal, let foreground {
                    try? Job.withoutBackgroundStops { () throws(Errno) in
                        try Terminal.setForegroundGroup(terminal.descriptor, foreground)
                    }
                }
                try? Processes.kill(-(getpgid(root)), signal: SIGCONT)
            case .continued: break
            }
        }
    }

    func takeTerminalBack() {
        guard let terminal else { return }
        try? Job.withoutBackgroundStops { () throws(Errno) in
            try Terminal.setForegroundGroup(terminal.descriptor, getpgrp())
            if let settings = terminal.settings { try Terminal.setSettings(terminal.descriptor, settings) }
        }
    }

    static func end(by number: Int32) -> Int32 {
        // A core file of Apus would help nobody.
        try? Processes.setLimit(4, to: .init(soft: 0, hard: 0))
        _ = signal(number, SIG_DFL)
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, number)
        unsafe sigprocmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        return 128 + number
    }

    /// A background process that changes its terminal is stopped by SIGTTOU, unless that is blocked (termios(3)).
    private static func withoutBackgroundStops(_ body: () throws(Errno) -> Void) throws(Errno) {
        var set = sigset_t()
        var before = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTTOU)
        unsafe sigprocmask(SIG_BLOCK, &set, &before)
        defer { unsafe sigprocmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    /// Becomes another program, whose child the root then is (`--exec-cmd`).
    static func become(_ command: [[UInt8]]) throws(Problem) -> Int32 {
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigprocmask(SIG_SETMASK, &none, nil)
        // SAFETY: the copies live until execvp(3) replaces the program, or is refused.
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe command.map { bytes in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
            for (index, byte) in bytes.enumerated() { unsafe copy[index] = CChar(bitPattern: byte) }
            unsafe copy[bytes.count] = 0
            return unsafe copy
        }
        unsafe arguments.append(nil)
        if let program = unsafe arguments[0] { unsafe execvp(program, &arguments) }
        throw Problem(
            .fileUnopenable, "the command of --exec-cmd cannot be executed; the restored tree runs",
            object: .init(path: String(decoding: command.first ?? [], as: UTF8.self)),
            cause: .init(Errno(rawValue: apus_errno()), attempted: "execvp"), remedy: "Give the path of a program")
    }
}
