internal import Diagnostics
internal import Linux
internal import Logging
internal import SystemPackage

/// The file of a report: made before anything else is done, so that nobody finds out afterwards that it cannot be.
final class ReportFile {
    private let path: FilePath
    private let file: OwnedDescriptor

    /// - Returns: nil where none is wanted.
    /// - Throws: `report-unwritable`.
    init?(_ path: FilePath?) throws(Problem) {
        guard let path else { return nil }
        self.path = path
        do throws(Errno) {
            file = try Files.open(path, [.writeOnly, .create, .truncate], mode: 0o644)
        } catch {
            throw Problem(
                .reportUnwritable, "the report cannot be written", object: .init(path: path.string),
                cause: .init(error, attempted: "open"), remedy: "Give another path with --report")
        }
    }

    /// Writes it. What it is about has been done by then, so that a failure is a warning.
    func write(_ text: String, _ logger: Logger) {
        do throws(Errno) {
            try Files.write(file.raw, Array(text.utf8))
        } catch {
            logger.warning("The report \(path) cannot be written: \(error.description)")
        }
    }

    /// There is nothing to report.
    func remove() { try? Files.remove(path) }
}

extension Problem.Code {
    static let reportUnwritable: Self = "report-unwritable"
}
