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
        let directory = ProcessDirectory(process.pid)
        let (usualFilter, usualSlack): (UInt32, UInt64) = (0x33, 50_000)
        if let filter = try? directory.coreDumpFilter(), filter != usualFilter {
            found.append(
                "what it writes into core dumps (coredump_filter 0x\(String(filter, radix: 16))) is not carried")
        }
        if let slack = try? directory.timerSlack(), slack != usualSlack, slack != 0 {
            found.append("the slack of its timers (\(slack) ns) is not carried")
        }
        for thread in process.threads {
            if let mask = try? Processes.affinity(of: thread), let all = allProcessors, !mask.starts(with: all) {
                found.append("thread \(thread) is bound to some of the processors, which is not carried")
            }
            // SCHED_FLAG_RESET_ON_FORK
            if let scheduling = try? Processes.scheduling(of: thread), scheduling.flags & 1 != 0 {
                found.append(
                    "that the children of thread \(thread) get the usual scheduling (SCHED_RESET_ON_FORK) is not carried"
                )
            }
            if let priority = try? Processes.ioPriority(of: thread), priority != 0 {
                found.append("the I/O priority of thread \(thread) is not carried")
            }
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

    /// The mask of all processors that are on, as sched_getaffinity(2) would give it; nil where it cannot be found out.
    private static let allProcessors: [UInt8]? = {
        guard let text = try? Files.contents(of: "/sys/devices/system/cpu/online") else { return nil }
        var mask: [UInt8] = []
        // "0-3,6": ranges of numbers.
        for range in text.split(whereSeparator: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\n") }) {
            let ends = range.split(separator: UInt8(ascii: "-")).compactMap { Int(String(decoding: $0, as: UTF8.self)) }
            guard let first = ends.first, let last = ends.last, first <= last, last < 1 << 16 else { return nil }
            for number in first...last {
                while mask.count <= number / 8 { mask.append(0) }
                mask[number / 8] |= 1 << UInt8(number % 8)
            }
        }
        return mask
    }()
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
