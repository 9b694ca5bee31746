internal import Compatibility
internal import Diagnostics
internal import Logging

/// What a verb gets from the program around it.
struct Session {
    let invocation: Invocation
    let logger: Logger
    /// How far the work has come, for somebody at a terminal.
    let progress: Progress

    init(invocation: Invocation, logger: Logger) {
        self.invocation = invocation
        self.logger = logger
        progress = Console.errorIsTerminal ? Progress(output: { Console.writeError($0) }) : .silent
    }
}

extension Session {
    /// Tells that the work is done, and what it cost if somebody asked.
    func succeed(_ statistics: Statistics, display: Bool, message: String) {
        progress.finish()
        logger.info("\(message)")
        if invocation.has("json") {
            let verb = invocation.verb?.rawValue ?? ""
            let result: JSON = ["ok": true, "verb": .string(verb), "statistics": statistics.json]
            Console.write(result.text() + "\n")
        } else if display {
            Console.write(statistics.displayed)
        }
    }
}

/// A verb that reads its options from the invocation.
protocol Action {
    /// Does the work of the verb, by handing it to an engine.
    ///
    /// - Returns: the exit status.
    static func perform(in session: Session) throws -> Int32
}
