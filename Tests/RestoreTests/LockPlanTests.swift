import Diagnostics
import Images
import Linux
import Objects
import Testing
import Tracing

@testable import Restore

/// Plans for locks on files, of the images of others.
@Suite struct LockPlanTests {
    private func lock(
        _ flag: UInt32, _ type: UInt32, pid: Int32, fd: Int32, _ start: Int64 = 0, _ length: Int64 = 0
    ) -> FileLockEntry {
        var entry = FileLockEntry()
        (entry.flag, entry.type, entry.pid, entry.fd, entry.start, entry.len) = (flag, type, pid, fd, start, length)
        return entry
    }

    /// The root of `files` with such locks on the first of its descriptors that is a regular file.
    private func plan(_ locks: (_ pid: Int32, _ fd: Int32) -> [FileLockEntry]) throws -> RestorePlan {
        try FixturePlans.plan("files") { images, _ in
            let root = images.tasks[0]
            let file = root.descriptors.first { images.files[$0]?.hasReg ?? false && $0.fd > 2 }
            images.fileLocks = locks(root.pid, Int32(bitPattern: file?.fd ?? 0))
        }
    }

    private func calls(_ placed: RestorePlan.PlacedBatch, _ words: String) -> [Batch.Call] {
        placed.batch.calls.filter { $0.purpose.contains(words) }
    }

    @Test func locksAreTakenWhenDescriptorsAreThere() throws {
        let plan = try plan { pid, fd in
            [
                lock(FileLocks.flock, FileLocks.read, pid: pid, fd: fd),
                lock(FileLocks.posix, FileLocks.write, pid: pid, fd: fd, 10, 5),
                lock(FileLocks.description, FileLocks.read, pid: pid, fd: fd, 20),
            ]
        }
        let batch = plan.tasks[0].rebuild
        let taken = calls(batch, "lock on ")
        #expect(taken.map { SystemCallName.of($0.number) } == ["flock", "fcntl", "fcntl"])
        // LOCK_SH | LOCK_NB, F_SETLK, F_OFD_SETLK.
        #expect(taken.map { CallFailure.text($0.arguments[1]) } == ["5", "6", "37"])
        guard case .address(let place) = taken[1].arguments[2] else { throw Unwrap.Missing() }
        let words = (0..<3).map { batch.batch.memory.littleEndian(UInt64.self, at: place.offset + 8 * $0) }
        #expect(words == [1, 10, 5])
        #expect(plan.leases == [])
        // To close any descriptor of the file would release the locks of a process.
        let last = batch.batch.calls.lastIndex { SystemCallName.of($0.number) == "close_range" } ?? .max
        let first = batch.batch.calls.firstIndex { $0.purpose.contains("lock on ") } ?? 0
        #expect(last < first)
    }

    @Test func leasesComeLast() throws {
        let plan = try plan { pid, fd in
            [
                lock(FileLocks.lease, FileLocks.read, pid: pid, fd: fd),
                lock(FileLocks.lease, FileLocks.read | FileLocks.breaking, pid: pid, fd: fd),
                lock(FileLocks.lease, FileLocks.unlocked | FileLocks.breaking, pid: pid, fd: fd),
            ]
        }
        #expect(calls(plan.tasks[0].rebuild, "lease").isEmpty)
        let taken = calls(plan.tasks[0].finish, "lease on ")
        // F_SETLEASE.
        #expect(taken.map { CallFailure.text($0.arguments[1]) } == ["1024", "1024", "1024"])
        #expect(taken.prefix(2).map { CallFailure.text($0.arguments[2]) } == ["0", "1"])
        #expect(plan.leases.map(\.asked) == [nil, .toRead, .toWrite])
        let opened = Set(plan.openings.map(\.descriptor))
        #expect(plan.leases.allSatisfy { opened.contains($0.descriptor) })
    }

    /// A lock that nobody would take is no lock that is there no more.
    @Test func aLockOfNobodyIsRefused() throws {
        let error = #expect(throws: Problems.self) {
            try plan { _, fd in [lock(FileLocks.posix, FileLocks.write, pid: 999, fd: fd)] }
        }
        #expect(error?.all.first?.code == .imageUnsuitable)
        #expect(error?.all.first?.summary.contains("process 999") ?? false)
    }

    @Test func aLockOfADescriptorThatIsNotThere() throws {
        #expect(throws: Problems.self) {
            try plan { pid, _ in [lock(FileLocks.flock, FileLocks.write, pid: pid, fd: 4444)] }
        }
    }

    /// Numbers that mean nothing, in flags and types.
    @Test(arguments: [(0, 0), (3, 0), (16, 1), (1, 2), (2, 4), (4, 5), (8, 2), (8, 5), (8, 7), (8, .max)])
    func numbersThatMeanNothing(_ flag: UInt32, _ type: UInt32) throws {
        #expect(throws: Problems.self) { try plan { pid, fd in [lock(flag, type, pid: pid, fd: fd)] } }
    }
}
