import Glibc
import Testing

/// What AppArmor has each thread run as is carried. This needs a kernel with AppArmor on, that of Debian for instance, and
/// the program that loads profiles.
@Suite(
    "Security modules", .serialized, .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: bytes(at: "/sys/module/apparmor/parameters/enabled")?.first == UInt8(ascii: "Y"), "needs AppArmor"),
    .enabled(if: exists("/sbin/apparmor_parser"), "needs apparmor_parser (Debian: apparmor)"))
struct SecurityModuleTests {
    /// A subject of which one thread runs under a profile that lives no longer than the test.
    private func withConfined(
        _ name: String, _ arguments: [String] = [],
        _ body: (RunningSubject, _ unload: () throws -> Void) throws -> Void
    )
        throws
    {
        try withWorld { world in
            let file = world.path("profile")
            try write("profile \(name) {\n  file,\n  signal,\n  network unix,\n}\n", to: file)
            try world.succeed("/sbin/apparmor_parser", "-K", "-r", file)
            defer { _ = try? world.command(["/sbin/apparmor_parser", "-K", "-R", file]).run() }
            try body(RunningSubject(Subject(name: "confined", arguments: [name] + arguments), in: world)) {
                try world.succeed("/sbin/apparmor_parser", "-K", "-R", file)
            }
        }
    }

    @Test func aProfileIsCarriedByThread() throws {
        try withConfined("apus-test-carried") { running, _ in
            for _ in 1...3 {
                try running.world.requireDump(running.pid, to: "images")
                try running.world.requireRestore("images")
                #expect(running.check() == [])
            }
        }
    }

    @Test func aProfileThatIsNotLoaded() throws {
        try withConfined("apus-test-gone") { running, unload in
            try running.world.requireDump(running.pid, to: "images")
            try unload()
            let refused = try running.world.restore("images")
            #expect(refused.status == 1)
            #expect(refused.errors.contains("apus-test-gone") && refused.errors.contains("--lsm-profile"), "\(refused)")
            try running.world.requireRestore("images", ["--lsm-profile", "apparmor:unconfined"])
            #expect(running.check().contains("FAIL the first thread is not confined"))
        }
    }

    /// A confined thread may look at nobody, Landlock or not: the two are told apart.
    @Test func aConfinedThreadIsInNoLandlockDomain() throws {
        try withConfined("apus-test-doubt") { running, _ in
            try running.world.requireDump(running.pid, to: "images", ["--leave-running"])
            #expect(!text(running.world.path("images/dump.log")).contains("Landlock"))
            #expect(running.check() == [])
        }
    }

    @Test func aConfinedThreadInALandlockDomain() throws {
        try withConfined("apus-test-both", ["landlock"]) { running, _ in
            let refused = try running.world.dump(running.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("restricted by Landlock"), "\(refused)")
            #expect(running.check() == [])
        }
    }
}
