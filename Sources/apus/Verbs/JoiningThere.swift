internal import Compatibility
internal import Diagnostics
internal import Linux
internal import Migration
internal import SystemPackage
internal import Terminals

/// What `apus migrate --detach` and `--attach` do when the tree runs on the other host.
struct JoiningThere {
    private let attaches: Bool
    private let host: String
    /// By which the other host is reached in a terminal; nil where nothing is known by which it could be.
    private let shell: [String]?
    private let program: String

    /// What becomes of the terminal.
    static func move(_ reader: OptionReader) -> TerminalMove {
        reader.flag("attach") ? .attaches : reader.flag("detach") ? .detaches : .stays
    }

    /// Reads the options, and reports what does not go together: all before anything is begun.
    init(_ reader: inout OptionReader, host: String) {
        attaches = reader.flag("attach")
        self.host = host
        program = reader.values("remote-apus").last.map(RawArgument.text) ?? "apus"
        let way = reader.values("to").last.map(RawArgument.text) ?? "ssh"
        let given = reader.values("ssh-command").last.map {
            RawArgument.text($0).split(separator: " ").map(String.init)
        }
        shell = way == "ssh" ? Self.inTerminal(given ?? ["ssh"]) : nil
        guard attaches else { return }
        if reader.flag("detach") {
            reader.report([
                Problem(
                    .invalidValue, "--attach and --detach do not go together",
                    remedy: "Give --attach to be joined to the terminal there, --detach not to be")
            ])
        }
        if reader.flag("json") {
            reader.report([
                Problem(
                    .invalidValue, "--attach and --json do not go together: somebody is to work in this terminal",
                    remedy: "Give --detach in place of --attach")
            ])
        }
        if shell == nil {
            reader.report([
                Problem(
                    .invalidValue, "--attach goes by ssh, and not with --to \(way.printable)",
                    remedy: "Give --detach, and run `apus attach` on the other host when the tree is there")
            ])
        }
        if !Terminal.isTerminal(0) || !Terminal.isTerminal(1) {
            reader.report([
                Problem(
                    .notATerminal, "--attach joins this terminal with that of the tree, and there is none here",
                    remedy: "Start it from a terminal, or give --detach")
            ])
        }
    }

    /// ssh gives a command a terminal only if it is told to. What another program does is its own matter.
    private static func inTerminal(_ command: [String]) -> [String] {
        guard command.first?.split(separator: "/").last == "ssh" else { return command }
        return command[..<1] + ["-t"] + command[1...]
    }

    /// Joins this terminal with the one there, or says how that is done.
    ///
    /// - Parameter terminal: its name there.
    /// - Throws: `host-unreachable`; the tree runs there.
    func go(_ terminal: String, asJSON: Bool) throws(Problem) {
        let words = shell.map { $0 + [host, program, "attach", terminal] }
        let text = words?.joined(separator: " ").printable ?? "apus attach \(terminal)   (on \(host.printable))"
        if !asJSON { Console.write("  its terminal  \(text)\n") }
        guard attaches, let words else { return }
        do throws(Errno) { try Subprocess.become(words) } catch {
            throw Problem(
                .hostUnreachable, "the tree runs on \(host), and this terminal cannot be joined with that of it",
                object: .init(path: words.first), cause: .init(error, attempted: "execvp"), remedy: "Run: \(text)")
        }
    }
}
