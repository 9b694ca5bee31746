internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects

/// What can stop a dump and is found only when the tree stands still: told beforehand, so that nobody takes silence for
/// consent.
enum Doubts {
    static func find(_ processes: [SurveyedProcess]) -> [Explanation.Doubt] {
        var found: [(text: String, objects: [Problem.Object])] = []
        func add(_ text: String, _ object: Problem.Object) {
            if let index = found.firstIndex(where: { $0.text == text }) {
                found[index].objects.append(object)
            } else {
                found.append((text, [object]))
            }
        }
        for process in processes where !process.isZombie {
            for text in about(process) { add(text, process.object) }
            for seen in process.descriptors {
                if let text = DescriptionKinds.kind(of: seen)?.doubt(about: seen) { add(text, seen.object) }
            }
        }
        if let text = crowd(processes) { found.append((text, [])) }
        return found.map { Explanation.Doubt(text: $0.text, objects: $0.objects) } + always
    }

    private static let always = [
        "every thread stops in time",
        "a thread has restricted itself by Landlock or has segments of its own (modify_ldt(2))",
        "a semaphore of System V that it holds (SEM_UNDO) is used outside of the tree, too",
        "the images find room on their disk",
    ].map { Explanation.Doubt(text: $0, objects: []) }

    /// All descriptions of a tree are open in Apus at once when it is restored.
    private static func crowd(_ processes: [SurveyedProcess]) -> String? {
        let descriptors = processes.reduce(0) { $0 + $1.descriptors.count }
        let highest = processes.flatMap(\.descriptors).map(\.number).max() ?? 0
        let limit = Processes.attainableNumberOfFiles
        // With what Apus opens for itself.
        guard max(UInt64(descriptors), UInt64(highest)) + 128 > limit else { return nil }
        return "a limit of \(limit) open files is enough for Apus to restore \(descriptors) descriptors, the highest"
            + " of them \(highest) (prlimit --nofile)"
    }

    private static func about(_ process: SurveyedProcess) -> [String] {
        var found: [String] = []
        if process.stat.state == .uninterruptible {
            found.append("it stops at all: just now it waits in the kernel, for a disk or a file server")
        }
        // 2: filters (proc_pid_status(5)).
        if process.status.seccompMode == 2 {
            found.append("one of its seccomp filters asks a supervisor (SECCOMP_RET_USER_NOTIF)")
        }
        if process.threads.count > 1 {
            found.append("one of its threads has descriptors or a working directory of its own (unshare(2))")
        }
        if process.areas.contains(where: { $0.kind == .asyncIO }) {
            found.append("a request of asynchronous I/O ends while its memory is being written")
        }
        return found
    }
}
