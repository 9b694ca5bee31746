import Glibc
import Testing

/// Memory of huge pages, which the host has to set aside.
@Suite(
    "Huge pages", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: HugePages.reserve(), "needs 12 huge pages of 2 MiB that the host can set aside"))
struct HugePagesTests {
    @Test func threeRounds() throws {
        defer { HugePages.giveBack() }
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "huge"), in: world)
            for round in 1...3 {
                let before = running.snapshot
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.changes(since: before) == [], "after the restore of round \(round)")
                #expect(running.check() == [], "round \(round)")
            }
        }
    }
}

private enum HugePages {
    private static let setting = "/proc/sys/vm/nr_hugepages"
    private static let before = text(setting)

    /// Whether there are enough of them.
    static func reserve() -> Bool {
        guard (Int(before.dropLast()) ?? 0) < 12 else { return true }
        guard unsafe access(setting, W_OK) == 0 else { return false }
        try? write("12", to: setting)
        return (Int(text(setting).dropLast()) ?? 0) >= 12
    }

    static func giveBack() { try? write(String(before.dropLast()), to: setting) }
}
