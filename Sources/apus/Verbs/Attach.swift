internal import ArgumentParser
internal import Compatibility
internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import Restore
internal import SystemPackage
internal import Terminals

/// `apus attach`: joins this terminal with one that is kept.
struct Attach: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Join the terminal of a tree that has come here with --detach or --attach.",
        discussion: """
            What is typed here goes there, and what is printed there comes here. Ctrl-] d leaves the tree running, and it can
            be joined again. Without an argument the only terminal is meant that is kept here. The exit status is that of
            the program, when it ends.
              apus attach
              apus attach --list
              ssh -t HOST apus attach PID
            """)

    @Argument(help: "The pid of a process that has the terminal, or the name that `apus migrate` has told.")
    var terminal: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var state: StateOptions

    @Flag(help: "Show the terminals that are kept here.")
    var list = false

    @Flag(help: "Whoever is joined to the terminal now has to go.")
    var take = false
}

extension Attach: Action {
    static func perform(in session: Session) throws -> Int32 {
        var reader = OptionReader(session.invocation)
        let operands = session.invocation.operands
        if operands.count > 1 {
            reader.report([
                Problem(
                    .invalidValue, "one terminal can be joined at a time",
                    remedy: "Write: apus attach [PID|ID]")
            ])
        }
        let state = reader.path("state-dir") ?? RestoreOptions.usualState
        try reader.finish()
        let folder = TerminalFolder(in: state)
        if reader.flag("list") { return try list(folder, asJSON: reader.flag("json")) }
        let kept = try folder.find(operands.first.map(RawArgument.text))
        let outcome = try Attachment.run(kept, in: folder, takes: reader.flag("take")) { Console.writeError($0) }
        switch outcome {
        case .left:
            Console.writeError(
                "Process \(kept.pid) (\(kept.name.printable)) goes on. Join it again: apus attach \(kept.pid)\n")
            return 0
        case .taken(let other):
            throw Problem(
                .terminalInUse, "\(other.printable) has taken its terminal",
                object: .init(pid: kept.pid, process: kept.name), remedy: "Take it back: apus attach --take \(kept.pid)"
            )
        case .stopped(let signal): return 128 + signal
        case .ended(let status):
            Console.writeError("Process \(kept.pid) (\(kept.name.printable)) has ended.\n")
            switch status {
            case .exited(let code): return code
            case .killed(let signal, dumpedCore: _): return 128 + signal
            case .stopped, .continued, nil: return 0
            }
        }
    }

    private static func list(_ folder: TerminalFolder, asJSON: Bool) throws(Problem) -> Int32 {
        let all = try folder.all()
        if asJSON {
            let result: JSON = ["ok": true, "verb": "attach", "terminals": .array(all.map(\.json))]
            Console.write(result.text() + "\n")
            return 0
        }
        if all.isEmpty { Console.write("No terminal is kept on this host.\n") }
        for one in all {
            let guest = one.attached.map { ", joined by \($0.printable)" } ?? ""
            Console.write("\(one.pid)  \(one.name.printable)  \(one.path)  \(one.id)\(guest)\n")
        }
        return 0
    }
}
