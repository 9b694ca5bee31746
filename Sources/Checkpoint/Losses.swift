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
        let names = process.areas.compactMap { area, _ in area.givenName }
        if let first = names.first {
            let more = names.count > 1 ? ", and \(names.count - 1) more" : ""
            found.append(
                "the names of anonymous memory (\(String(decoding: first, as: UTF8.self))\(more)) are not carried")
        }
        return found
    }
}

extension MappedArea {
    /// The name that the program has given to the memory (PR_SET_VMA).
    fileprivate var givenName: [UInt8]? {
        switch name {
        case .anonymous(let name), .sharedAnonymous(let name): name
        case .none, .file, .heap, .stack, .vdso, .vvar, .vvarClock, .vsyscall, .other: nil
        }
    }
}
