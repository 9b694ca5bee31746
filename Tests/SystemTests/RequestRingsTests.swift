import Glibc
import Testing

/// Rings of io_uring that could not be made again as they were are refused, each by what it has; the subject `uring` has those
/// that can.
@Suite("Rings of io_uring", .enabled(if: geteuid() == 0, "needs root"))
struct RequestRingsTests {
    static let kinds = [
        ("single", "SINGLE_ISSUER"), ("polled", "IOPOLL"), ("thread", "SQPOLL"), ("disabled", "R_DISABLED"),
        ("several-numbers", "IORING_REGISTER_RING_FDS"), ("single-eventfd", "IORING_REGISTER_EVENTFD"),
        ("eventfd", "IORING_REGISTER_EVENTFD"), ("files", "IORING_REGISTER_FILES"), ("reading", "under way"),
        ("timeout", "under way"), ("closed", "nobody has a descriptor"),
    ]

    @Test(arguments: kinds)
    func isRefused(_ kind: (name: String, word: String)) throws {
        try withWorld { world in
            // Not every kernel has all of them.
            guard let running = try? RunningSubject(Subject(name: "uring", arguments: [kind.name]), in: world) else {
                return
            }
            let before = running.snapshot
            let finished = try world.dump(running.pid, to: "images")
            let said = finished.errors.replacing("\n", with: " ").split(separator: " ").joined(separator: " ")
            #expect(finished.status == 1 && said.contains("io_uring") && said.contains(kind.word), "\(finished)")
            #expect(said.contains("process \(running.pid)"), "\(finished)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Numbers by which threads know rings, and memory and sockets that are registered with one.
    @Test(arguments: ["numbers", "several", "buffers", "sockets", "places"])
    func isCarried(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uring", arguments: [kind]), in: world)
            for round in 1...3 {
                #expect(running.check() == [], "round \(round)")
                try world.requireDump(running.pid, to: "images", round == 2 ? ["--leave-running"] : [])
                if round == 2 {
                    #expect(running.check() == [], "left running")
                } else {
                    try world.requireRestore("images")
                }
                world.removeImages()
                #expect(running.check() == [], "round \(round)")
            }
        }
    }

    /// Threads of the kernel that carry requests out are listed as those of the process, and are none.
    @Test func withWorkers() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uring", arguments: ["workers"]), in: world)
            for round in 1...2 {
                #expect(running.check() == [])
                try world.requireDump(running.pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(running.check() == [])
            }
        }
    }

    /// What the supplement says of a ring is input like everything else.
    @Test(arguments: [
        (#""taken":30,"#, #""taken":4294967295,"#), (#""size":[8,16]"#, #""size":[8,15]"#),
        (#""size":[8,16]"#, #""size":[65536,131072]"#), (#""layout":[0,"#, #""layout":[4,"#),
        (#""requests":"00"#, #""requests":"0"#), (#""array":[0,"#, #""array":["#),
    ])
    func whatMakesNoSenseIsRefused(_ change: (old: String, new: String)) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "uring"), in: world)
            try world.requireDump(running.pid, to: "images")
            let path = world.path("images/supplement.json")
            let supplement = text(path)
            try #require(supplement.contains(change.old), "\(supplement.prefix(300))")
            try write(supplement.replacing(change.old, with: change.new), to: path)
            // The checksums are those of the images that were changed.
            _ = unsafe unlink(world.path("images/manifest.json"))
            let finished = try world.restore("images")
            #expect(finished.status == 1 && finished.errors.contains("io_uring"), "\(finished)")
            #expect(world.processes == [])
        }
    }
}
