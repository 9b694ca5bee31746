internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import Memory
internal import SystemPackage
internal import Tracing

/// Watches what the processes of a tree write to, from a look at the standing tree to the next.
final class WriteTracking {
    /// By the process that the memory is stored by.
    private var trackers: [Int32: WriteTracker] = [:]
    /// Why some processes are not watched.
    private(set) var reasons: [String] = []
    /// What was found when the tree came to a standstill.
    private var clean: [Int32: [Range<UInt64>]] = [:]

    /// Begins to watch a process that is under control. One that cannot be watched counts as having written to all.
    ///
    /// - Parameter owner: by whom its memory is stored, itself in most cases.
    func add(_ control: RemoteControl, _ surveyed: SurveyedProcess, memoryOf owner: Int32) throws(Problem) {
        guard owner == surveyed.pid, trackers[owner] == nil, !control.isCompat else { return }
        var making = Batch()
        let made = making.call(
            Int(SYS_userfaultfd), .int(WriteProtection.creationFlags), expecting: Batch.anything,
            for: "watch what it writes to")
        let result = try control.run(making)[made]
        guard let number = Int32(exactly: result), number >= 0 else {
            return unwatched(surveyed, Errno(rawValue: Int32(truncatingIfNeeded: -result)), "userfaultfd")
        }
        let copy: OwnedDescriptor
        do throws(Errno) {
            let process = try Processes.open(thread: surveyed.eye, of: surveyed.pid)
            copy = try Processes.descriptor(number, of: process.raw)
        } catch {
            unwatched(surveyed, error, "pidfd_getfd")
            return try close(number, control)
        }
        try close(number, control)
        do throws(Errno) {
            let protection = try WriteProtection(owning: copy)
            trackers[owner] = WriteTracker(pid: surveyed.eye, process: surveyed.name, protection)
        } catch {
            unwatched(surveyed, error, "ioctl(UFFDIO_API)")
        }
    }

    private func close(_ number: Int32, _ control: RemoteControl) throws(Problem) {
        var closing = Batch()
        closing.call(Int(SYS_close), .signed(number), for: "close what it has made for Apus")
        try control.run(closing).check()
    }

    private func unwatched(_ process: SurveyedProcess, _ error: Errno, _ attempted: String) {
        reasons.append(
            "\(process.object.description): what it writes to cannot be watched (\(attempted): \(error.description));"
                + " all its memory is sent while it stands still")
    }

    /// What has been written to since the last time, of all processes. The tree runs.
    func collect() -> [(owner: Int32, tracker: WriteTracker, runs: [StoredRun])] {
        trackers.sorted { $0.key < $1.key }.map { ($0.key, $0.value, $0.value.collect()) }
    }

    /// The tree stands still: finds what was not written to, and ends the watch.
    func finish() { clean = trackers.mapValues { $0.finish() } }

    /// The tree runs on after all.
    func resume() { for (owner, tracker) in trackers { tracker.resume(clean: clean[owner] ?? []) } }

    /// What of the memory of a process was not written to since it was last collected.
    func unwritten(of owner: Int32) -> [Range<UInt64>] { clean[owner] ?? [] }

    /// What was seen of large mappings of a process when the tree came to a standstill.
    func looks(at owner: Int32) -> [UInt64: PageLook] { trackers[owner]?.looks ?? [:] }

    /// Whether anything is watched.
    var isEmpty: Bool { trackers.isEmpty }

    /// Lets go of everything.
    func end() { trackers = [:] }
}

@available(*, unavailable)
extension WriteTracking: Sendable {}
