import Foundation
import Glibc
import Testing

/// `apus explain` says before anything stands still what a dump would say.
@Suite("Explain", .enabled(if: geteuid() == 0, "needs root"))
struct ExplainTests {
    /// What can be dumped is said to be, with the options of the dump.
    @Test(arguments: Subject.all)
    func whatCanBeDumped(_ subject: Subject) throws {
        try withWorld { world in
            let running = try RunningSubject(subject, in: world)
            // By its first answer all of its threads have got where they wait.
            #expect(running.check() == [])
            let before = running.snapshot
            let explained = try world.apus(["explain", "\(running.pid)"] + running.dumpOptions)
            #expect(explained.status == 0, "\(explained)")
            #expect(explained.output.contains("would be dumped"), "\(explained)")
            #expect(explained.output.contains("\(running.pid)"), "\(explained)")
            if !subject.renewsChildren { #expect(running.changes(since: before) == []) }
            #expect(running.check() == [])
        }
    }

    /// What a dump refuses before the freeze is told, with the same codes.
    @Test(arguments: FailingDumpTests.unsupported.filter { !FailingDumpTests.foundAtTheFreeze.contains($0) })
    func whatCannotBeDumped(_ kind: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: [kind, "FOLDER"]), in: world)
            let dump = try world.dump(running.pid, to: "images")
            let explained = try world.apus(["explain", "\(running.pid)"])
            #expect(explained.status == 1, "\(explained)")
            #expect(explained.output.contains("would not be dumped"), "\(explained)")
            let codes = dump.errors.matches(of: /error\[([a-z-]+)\]/).map { String($0.output.1) }
            #expect(!codes.isEmpty, "\(dump)")
            for code in codes { #expect(explained.output.contains("error[\(code)]"), "\(code): \(explained)") }
            #expect(running.check() == [])
        }
    }

    /// Options that are told are not only named in a remedy: with them it would be dumped.
    @Test func optionsThatSettle() throws {
        let cases: [(Subject, [String], String)] = [
            (Subject(name: "locks", arguments: ["FOLDER/locks"]), [], "--file-locks"),
            (Subject(name: "terminal", terminal: true), [], "--shell-job"),
            (Subject(name: "deleted", arguments: ["FOLDER"]), ["--ghost-limit", "1K"], "--ghost-limit 1M"),
            (Subject(name: "unsupported", arguments: ["socket-service", "FOLDER"]), [], "--ext-unix-sk"),
        ]
        for (subject, given, settling) in cases {
            try withWorld { world in
                let running = try RunningSubject(subject, in: world)
                let without = try explained(running, given)
                #expect(without.status == 1, "\(subject.name)")
                #expect(without.json["settled_by"] as? [String] == [settling], "\(subject.name): \(without.json)")
                for problem in without.json["problems"] as? [[String: Any]] ?? [] {
                    #expect(problem["settled_by"] as? String == settling, "\(problem)")
                }
                let with = try explained(running, settling.split(separator: " ").map(String.init))
                #expect(with.status == 0 && with.json["ok"] as? Bool == true, "\(subject.name): \(with.json)")
            }
        }
    }

    /// A pipe whose other end is outside: its key is told, and the dump takes it.
    @Test func aPipeThatLeadsOutside() throws {
        try withWorld { world in
            // The reader is a tree of its own: it has left the shell that holds the writing end.
            _ = try world.start(["sh", "-c", "sleep 1000 | exec setsid sleep 1001"], output: "out")
            var inner: Int32 = 0
            #expect(
                eventually {
                    inner =
                        world.processes.first { text("\(world.proc)/\($0)/cmdline").hasPrefix("sleep\u{0}1001") } ?? 0
                    return inner != 0
                })
            let explained = try world.apus(["explain", "--json", "\(inner)"])
            let found = try #require(
                try JSONSerialization.jsonObject(with: Data(explained.output.utf8)) as? [String: Any])
            let settling = try #require((found["settled_by"] as? [String])?.first, "\(explained)")
            #expect(settling.hasPrefix("--external 'pipe:["), "\(explained)")
            let key = settling.dropFirst("--external '".count).dropLast()
            #expect(try world.apus(["explain", "\(inner)", "--external", String(key)]).status == 0)
        }
    }

    @Test func theInventory() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "threads"), in: world)
            let found = try explained(running, [])
            let processes = try #require(found.json["processes"] as? [[String: Any]])
            let root = try #require(processes.first)
            #expect(root["pid"] as? Int == Int(running.pid))
            let threads = names(in: "\(world.proc)/\(running.pid)/task").count
            #expect(root["threads"] as? Int == threads)
            let files = names(in: "\(world.proc)/\(running.pid)/fd").count
            #expect((root["descriptors"] as? [Any])?.count == files)
            let memory = try #require(root["memory"] as? [[String: Any]])
            #expect(memory.contains { $0["kind"] as? String == "private memory" && ($0["own"] as? Int ?? 0) > 0 })
        }
    }

    /// A debugger is named, and who else is asked to look gets nothing in its way.
    @Test func aProcessThatIsTraced() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "unsupported", arguments: ["traced", "FOLDER"]), in: world)
            let explained = try world.apus(["explain", "\(running.pid)"])
            #expect(explained.status == 1)
            #expect(explained.output.contains("error[already-traced]"), "\(explained)")
            let dump = try world.dump(running.pid, to: "images")
            #expect(dump.errors.contains("already-traced"), "\(dump)")
        }
    }

    @Test func mistakes() throws {
        for arguments in [[], ["x"], ["0"], ["-1"], ["1", "2"], ["4000000"], ["1", "--tree", "2"]] {
            let explained = try Command([Place.apus, "explain", "--no-default-config"] + arguments).run()
            #expect(explained.status == 1, "\(arguments): \(explained)")
            #expect(explained.errors.contains("error["), "\(arguments): \(explained)")
        }
    }

    private func explained(
        _ running: RunningSubject, _ options: [String]
    ) throws -> (status: Int, json: [String: Any]) {
        let finished = try running.world.apus(["explain", "--json", "\(running.pid)"] + options)
        let object = try JSONSerialization.jsonObject(with: Data(finished.output.utf8))
        return (finished.status, try #require(object as? [String: Any]))
    }
}
