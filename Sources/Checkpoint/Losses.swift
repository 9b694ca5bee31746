internal import Diagnostics
internal import Linux
internal import Logging
internal import Memory
internal import Objects
internal import SystemPackage

/// Settings that the images have no place for, and that a restored process does without: small enough not to refuse
/// the dump for them, and never passed over in silence.
enum Losses {
    /// Names what a process will lack.
    static func report(_ process: SurveyedProcess, _ logger: Logger) {
        for loss in find(process) { logger.warning("\(process.object.description): \(loss)") }
    }

    private static func find(_ process: SurveyedProcess) -> [String] {
        var found: [String] = []
        if process.isZombie {
            let dumpedCore = process.stat.exitCode & 0x7f != 0 && process.stat.exitCode & 0x80 != 0
            return dumpedCore ? ["that its end has left a core dump (WCOREDUMP) is not carried"] : []
        }
        found += process.descriptors.compactMap(InetSocket.loss(of:))
        let unknown = Set(process.areas.flatMap { area, _ in area.details?.unknownFlags ?? [] }).sorted()
        if !unknown.isEmpty {
            found.append("some mappings have flags that this Apus does not know: \(unknown.joined(separator: " "))")
        }
        if process.areas.contains(where: { $0.kind == .asyncIO }) {
            found.append(
                "requests of asynchronous I/O that wait for something (IOCB_CMD_POLL) are not carried, and the kernel"
                    + " shows nobody whether there are any")
        }
        return found
    }
}
