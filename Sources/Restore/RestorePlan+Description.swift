internal import CLinux
internal import Images
internal import Linux
internal import Objects
internal import Tracing

extension RestorePlan: CustomStringConvertible {
    /// How many pages the tasks read from pages files.
    var storedPages: UInt64 {
        var pages: UInt64 = 0
        for task in tasks {
            for batch in [task.family.batch, task.rebuild.batch] {
                for call in batch.calls where call.number == Int(SYS_pread64) {
                    if case .value(let count) = call.arguments[2] { pages += count / 4096 }
                }
            }
        }
        return pages
    }

    /// The plan for people, as `apus restore --dry-run` prints it: what is opened, who makes whom, and every call at
    /// every barrier.
    public var description: String {
        var text = "Apus opens, each once, for the tree to inherit:\n"
        for opening in openings {
            text += "  \(opening.descriptor): \(opening.resource)\(opening.isLate ? ", once it is there" : "")\n"
        }
        if clocks != nil { text += "\nIts monotonic clocks go on where they were at the dump.\n" }
        for task in tasks {
            text += "\nProcess \(task.pid) (\(task.name))"
            text += task.maker.map { ", made by \(tasks[$0].pid)" } ?? ", made by Apus"
            if !task.sharedWithMaker.isEmpty {
                text += ", whose \(task.sharedWithMaker.joined(separator: ", ")) it shares"
            }
            if task.pid == tasks[0].pid { text += ", the root" }
            text += task.state == .dead ? ", ends again at once\n" : task.state == .stopped ? ", left stopped\n" : "\n"
            let steps = [
                ("family", task.family), ("rebuild", task.rebuild), ("threads", task.threadMaking),
                ("filters", task.sharedFilters), ("finish", task.finish),
            ]
            for (barrier, batch) in steps { text += Self.describe(barrier, batch) }
            for thread in task.threads.dropFirst() { text += Self.describe("thread \(thread.tid)", thread.batch) }
        }
        text += "\nThen all processes are released at once.\n"
        return text
    }

    private static func describe(_ title: String, _ placed: PlacedBatch) -> String {
        guard !placed.batch.isEmpty else { return "" }
        var text = "  \(title):\n"
        for call in placed.batch.calls {
            let arguments = call.arguments.map(CallFailure.text).joined(separator: ", ")
            let line = "\(SystemCallName.of(call.number))(\(arguments))"
            text += "    " + line
            if !call.purpose.isEmpty {
                text += String(repeating: " ", count: max(1, 64 - line.utf8.count)) + "# " + call.purpose
            }
            text += "\n"
        }
        return text
    }
}
