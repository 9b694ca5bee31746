internal import Diagnostics
internal import Linux
internal import Objects

/// Sessions of the tree whose terminal is outside of it: those of an interactive shell that is dumped itself, or of what script(1)
/// has started. The terminal of a restore is that of its user's session, and can be that of no other as well; so such a tree has to be
/// given one, which nobody needs to hear for the first time when the original is gone.
enum OwnTerminals {
    static func find(_ survey: Survey) -> [(object: Problem.Object, text: String)] {
        guard let circumstances = survey.finalCircumstances else { return [] }
        let leaders = survey.processes.filter { process in
            !process.isZombie && process.stat.session == process.pid
                && process.stat.terminal != DeviceNumber(major: 0, minor: 0)
                && !circumstances.terminals.controls(process.stat)
                && !TerminalFile.isLeftOutside(process.stat, circumstances)
        }
        return leaders.map { ($0.object, Self.text) }
    }

    private static let text =
        "it leads a session of its own on a terminal from outside: a restore needs a terminal for it that is no session's,"
        + " as descriptor N of `apus restore --inherit-fd 'fd[N]:tty[...]'` (docs/terminals.md); --shell-job alone cannot give it one"
}
