internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// The terminals that are given to a tree in place of those that its dump left outside (`--inherit-fd fd[N]:tty[...]`).
struct GivenTerminals {
    private var terminals: [(descriptor: Int32, before: Terminal.Settings, info: TtyInfoEntry)] = []

    /// Gives each the settings of the one whose place it takes. Its own size stands, if it has one.
    init(_ wanted: [String: TtyInfoEntry], _ inherited: [String: Int32]) throws(Problem) {
        for (key, info) in wanted.sorted(by: { $0.key < $1.key }) where info.hasTermios {
            guard let descriptor = inherited[key] else { continue }
            do throws(Errno) {
                terminals.append((descriptor, try Terminal.settings(descriptor), info))
                try Terminal.setSettings(descriptor, Terminal.Settings(info.termios))
                let size = try Terminal.windowSize(descriptor)
                if size.rows == 0, size.columns == 0, info.hasWinsize {
                    try Terminal.setWindowSize(descriptor, .init(info.winsize))
                }
            } catch {
                takeBack()
                throw Problem(
                    .noTerminal, "the terminal that stands in for \(key) cannot be given to the tree",
                    object: .init(fd: descriptor), cause: .init(error, attempted: "ioctl(TCSETS)"),
                    remedy: "Give a terminal that controls no session yet")
            }
        }
    }

    /// Tells programs that their terminal has another size than the one that they were dumped with.
    func announceSizes() {
        for (descriptor, _, info) in terminals where info.hasWinsize && info.pgrp > 0 {
            guard let size = try? Terminal.windowSize(descriptor),
                UInt32(size.rows) != info.winsize.wsRow || UInt32(size.columns) != info.winsize.wsCol
            else { continue }
            try? Processes.kill(-Int32(bitPattern: info.pgrp), signal: SIGWINCH)
        }
    }

    func takeBack() {
        for (descriptor, before, _) in terminals { try? Terminal.setSettings(descriptor, before) }
    }
}
