import Glibc
import Testing

/// Images whose pages are compressed as CRIU does it (`--compress`, `--compress-region`).
@Suite("Compressed pages", .enabled(if: geteuid() == 0, "needs root"))
struct CompressedPagesTests {
    static let subjects = [
        Subject(name: "memory", arguments: ["FOLDER/mapped"]), Subject(name: "family-memory", arguments: ["2", "6"]),
        Subject(name: "sharedvm"), Subject(name: "sysv", renewsChildren: true),
    ]

    /// Page by page, in small regions, and in those that CRIU makes if nothing is said.
    @Test(arguments: subjects, [nil, 3, 64] as [UInt32?])
    func areRead(_ subject: Subject, region: UInt32?) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            try world.requireDump(running.pid, to: "images", running.dumpOptions)
            let sizes = try CompressedImages.compress(world.path("images"), region: region)
            try #require(sizes.after < sizes.before, "nothing was compressed: \(sizes)")
            let check = try world.apus(["check", world.path("images")] + running.dumpOptions)
            #expect(check.status == 0, "\(check)")
            let before = names(in: world.path("images"))
            try world.requireRestore("images", running.dumpOptions)
            #expect(running.check() == [])
            #expect(
                Set(names(in: world.path("images"))).subtracting(before).allSatisfy {
                    $0.hasSuffix(".log") || $0.hasPrefix("stats-")
                })
            // What came of it is dumped as anything else.
            try world.requireDump(running.pid, to: "again", running.dumpOptions)
            try world.requireRestore("again", running.dumpOptions)
            #expect(running.check() == [])
        }
    }

    /// A damaged block is found before there is any process.
    @Test func aDamagedBlockIsRefused() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            try world.requireDump(running.pid, to: "images")
            _ = try CompressedImages.compress(world.path("images"), region: 16)
            for name in names(in: world.path("images")) where name.hasPrefix("pages-") {
                try world.succeed(
                    "dd", "if=/dev/zero", "of=" + world.path("images/\(name)"), "conv=notrunc", "bs=64", "count=1")
            }
            let refused = try world.restore("images")
            #expect(refused.status == 1 && refused.errors.contains("image-invalid"), "\(refused)")
            #expect(refused.errors.contains("is damaged"), "\(refused)")
            #expect(world.processes == [])
        }
    }
}
