internal import Compatibility
internal import Diagnostics
internal import Logging

/// Tells what stopped a run: people on the standard error, programs by JSON on the standard output, and the log.
struct Reporter {
    /// The log file, nil where there is none: the standard error has the problems already.
    let logger: Logger?
    let asJSON: Bool
    let verb: String

    /// Reports an error, whatever its type, and gives the exit status.
    func fail(_ error: any Error) -> Int32 {
        let problems: Problems =
            switch error {
            case let several as Problems: several
            case let one as Problem: Problems(one)
            default:
                Problems(
                    Problem(
                        .internalError, "unexpected error: \(error)",
                        remedy: "This is a defect of Apus: please report it with the log of a run with -v4"))
            }
        if asJSON {
            let result: JSON = [
                "ok": false, "verb": .string(verb), "problems": .array(problems.all.map(\.json)),
            ]
            Console.write(result.text() + "\n")
        } else {
            Console.writeError(problems.rendered(Console.errorStyle))
        }
        if let logger {
            for problem in problems.all { logger.error("\(problem.description)") }
            logger.error("\(verb) FAILED with \(problems.all.count) problem\(problems.all.count == 1 ? "" : "s")")
        }
        return 1
    }
}

extension Problem.Code {
    /// Something happened that no code foresees.
    static let internalError: Self = "internal-error"
}
