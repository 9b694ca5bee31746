import CLinux
import Foundation
import Glibc
import Testing

/// What lies outside of a tree is left there by `--external`, and given to it again by `--inherit-fd`.
@Suite("External resources", .enabled(if: geteuid() == 0, "needs root"))
struct ExternalTests {
    /// Pipes in both directions, of which this test holds the other ends; what is queued included.
    @Test func pipesWhoseOtherEndsAreOutside() throws {
        try withWorld { world in
            let (input, output) = (try newPipe(), try newPipe())
            let guest = try Guest(in: world, [(10, input.reading), (11, output.writing)])
            say("1\n2\n3\n", input.writing)
            #expect(guest.check() == [])
            let keys = try guest.keys()
            #expect(keys.count == 2 && keys.allSatisfy { $0.hasPrefix("pipe:[") })
            let refused = try world.dump(guest.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("leads-outside"), "\(refused)")
            for key in keys { #expect(refused.errors.contains("--external '\(key)'"), "\(key): \(refused)") }
            try world.requireDump(guest.pid, to: "images", keys.flatMap { ["--external", $0] })

            let bare = try world.restore("images")
            #expect(bare.status == 1, "\(bare)")
            #expect(keys.allSatisfy { bare.errors.contains("'fd[N]:\($0)'") }, "\(bare)")

            // Other pipes take their places, and what was not read comes first.
            let (input2, output2) = (try newPipe(), try newPipe())
            say("4\n", input2.writing)
            try guest.restore([(keys[0], input2.reading), (keys[1], output2.writing)])
            for _ in 2...4 { #expect(guest.check() == []) }
            #expect(hear(output2.reading) == "round 2\nround 3\nround 4\n")
            #expect(hear(output.reading) == "round 1\n")

            // The same pipes again, in which all of it is still there.
            say("5\n6\n", input2.writing)
            let again = try guest.keys()
            try world.requireDump(guest.pid, to: "images2", again.flatMap { ["--external", $0] })
            say("7\n", input2.writing)
            try guest.restore([(again[0], input2.reading), (again[1], output2.writing)], from: "images2")
            for _ in 5...7 { #expect(guest.check() == []) }
            #expect(hear(output2.reading) == "round 5\nround 6\nround 7\n")
            // Nobody else has the ends: the program sees the end of its input.
            close(input2.reading)
            close(output2.writing)
            for end in [input2.writing, input.reading, input.writing, output.reading, output.writing] { close(end) }
            #expect(guest.check().contains { $0.contains("read -1") }, "Apus or somebody else holds the pipe")
            close(output2.reading)
        }
    }

    /// A restore that fails leaves nothing in a pipe of its caller.
    @Test func aFailedRestoreTakesOutWhatItPutIn() throws {
        try withWorld { world in
            let input = try newPipe()
            let guest = try Guest(in: world, [(10, input.reading)])
            say("1\n2\n", input.writing)
            let key = try #require(try guest.keys().first)
            try world.requireDump(guest.pid, to: "images", ["--external", key])
            let other = try newPipe()
            say("3\n", other.writing)
            let script = "test $CRTOOLS_SCRIPT_ACTION != post-restore"
            let failed = try guest.tryRestore([(key, other.reading)], options: ["--action-script", script])
            #expect(failed.status == 1, "\(failed)")
            #expect(hear(other.reading) == "3\n")
            try guest.restore([(key, other.reading)])
            #expect(guest.check() == [])
        }
    }

    @Test(arguments: ["--external", "--ext-unix-sk"])
    func aSocketWhoseOtherEndIsOutside(_ option: String) throws {
        try withWorld { world in
            let (ours, theirs) = try newSocketPair()
            let guest = try Guest(in: world, [(12, theirs)])
            say("1\n", ours)
            #expect(guest.check() == [])
            #expect(hear(ours) == "round 1\n")
            // Whether the other end, which nobody in this pid namespace has, is under way, only the freeze shows.
            let link = try #require(
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(world.proc)/\(guest.pid)/fd/12"))
            let key = link.replacing("socket:", with: "unix")
            let blind = try world.dump(guest.pid, to: "images")
            #expect(blind.status == 1 && blind.errors.contains("'\(key)'"), "\(blind)")
            let given =
                option == "--external" ? [option, key] : ["--ext-unix-sk=\(key.dropFirst("unix[".count).dropLast())"]
            // What waits unread could not be given back.
            say("2\n", ours)
            let refused = try world.dump(guest.pid, to: "images", given)
            #expect(refused.status == 1 && refused.errors.contains("under-way"), "\(refused)")
            #expect(guest.check() == [])
            #expect(hear(ours) == "round 2\n")
            try world.requireDump(guest.pid, to: "images", given)
            let restoreKey = key.replacing("unix[", with: "socket:[")
            let (ours2, theirs2) = try newSocketPair()
            try guest.restore([(restoreKey, theirs2)])
            say("3\n", ours2)
            #expect(guest.check() == [])
            #expect(hear(ours2) == "round 3\n")
            let wrong = try newPipe()
            let mistaken = try guest.tryRestore([(restoreKey, wrong.reading)], options: ["--dry-run"])
            #expect(mistaken.status == 1 && mistaken.errors.contains("inherited-descriptor"), "\(mistaken)")
        }
    }

    /// A named pipe that a process outside has open: it is named, and so is the way out.
    @Test func aNamedPipeThatSomebodyElseHas() throws {
        try withWorld { world in
            try world.succeed("mkfifo", world.path("named"))
            let holder = try world.start(
                ["sh", "-c", "exec 9<>\(world.path("named")); exec sleep 1000"], output: "holder")
            #expect(eventually { exists("\(world.proc)/\(holder)/fd/9") })
            let end = unsafe open(world.path("named"), O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            let writing = unsafe open(world.path("named"), O_WRONLY | O_CLOEXEC)
            _ = fcntl(end, F_SETFL, 0)
            let guest = try Guest(in: world, [(10, end)])
            say("1\n2\n", writing)
            #expect(guest.check() == [])
            let refused = try world.dump(guest.pid, to: "images")
            #expect(refused.status == 1 && refused.errors.contains("process \(holder) (sleep)"), "\(refused)")
            let key = try #require(try guest.keys().first)
            #expect(key.hasPrefix("file["))
            try world.requireDump(guest.pid, to: "images", ["--external", key])
            let other = try newPipe()
            say("3\n", other.writing)
            try guest.restore([(key, other.reading)])
            for _ in 2...3 { #expect(guest.check() == []) }
        }
    }

    /// The process that holds the other end of a pipe is named.
    @Test func whoHoldsTheOtherEnd() throws {
        try withWorld { world in
            let script = "sleep 1000 | setsid sh -c 'echo $$ >\(world.path("pid")); exec sleep 1001'"
            _ = try world.start(["sh", "-c", script], output: "out")
            #expect(eventually { Int32(text(world.path("pid")).dropLast()) != nil })
            let pid = try #require(Int32(text(world.path("pid")).dropLast()))
            let refused = try world.dump(pid, to: "images")
            #expect(refused.status == 1, "\(refused)")
            #expect(
                try Regex("the writing end of the pipe is held by process [0-9]+ \\((sh|sleep)\\) outside")
                    .firstMatch(in: refused.errors.replacing("\n  ", with: " ")) != nil, "\(refused)")
        }
    }

    /// A shell whose terminal is left outside, as in a container: another takes its place, of another size.
    @Test(.enabled(if: Programs.has("python3", "bash", "stty"), "needs python3"))
    func aTerminalThatAnotherTakesThePlaceOf() throws {
        try withWorld { world in
            let emulator = ["python3", Programs.path("outer_terminal.py")]
            let shell = ["bash", "--norc", "--noprofile", "-i"]
            _ = try world.start(emulator + ["run", world.path("one"), "24", "80"] + shell, output: "pid")
            #expect(eventually { Int32(text(world.path("pid")).dropLast()) != nil })
            let pid = try #require(Int32(text(world.path("pid")).dropLast()))
            func type(_ keys: String, into name: String, awaiting words: String) throws {
                try write(keys, to: world.path("\(name).in"))
                try #require(
                    eventually { text(world.path("\(name).out")).contains(words) },
                    "no \(words) in \(text(world.path("\(name).out")))")
            }
            try type("sleep 1000 & kept=42\n", into: "one", awaiting: "[1]")
            try type("stty -ixon size\n", into: "one", awaiting: "24 80")
            let refused = try world.dump(pid, to: "images")
            #expect(refused.status == 1, "\(refused)")
            let key = try #require(refused.errors.firstMatch(of: /'(tty\[[0-9a-f]+:[0-9a-f]+\])'/)).1
            try world.requireDump(pid, to: "images", ["--external", String(key)])

            let bare = try world.restore("images")
            #expect(bare.status == 1 && bare.errors.contains("fd[N]:\(key)"), "\(bare)")
            let restore = [
                Place.apus, "restore", "-D", world.path("images"), "-d", "-v4", "--inherit-fd", "fd[9]:\(key)",
            ]
            _ = try world.start(emulator + ["give", world.path("two"), "50", "132"] + restore, output: "status")
            #expect(eventually { text(world.path("status")) == "0\n" }, "\(text(world.path("two.log")))")
            try type("echo $((kept + 1)); stty -a; jobs\n", into: "two", awaiting: "Running")
            let seen = text(world.path("two.out"))
            #expect(seen.contains("43") && seen.contains("rows 50; columns 132") && seen.contains("-ixon"), "\(seen)")
            // The shell was told, and has its jobs under control.
            try type("echo $COLUMNS wide\n", into: "two", awaiting: "132 wide")
            try type("tty; cat\n", into: "two", awaiting: "/dev/pts/")
            // Echoed, and written by cat.
            try type("ping\n", into: "two", awaiting: "ping\r\nping")
            try write("\u{3}", to: world.path("two.in"))
            // What is typed before cat has ended may still be read by cat. `stty -a` has shown a "^C" too.
            try #require(
                eventually {
                    let parts = text(world.path("two.out")).split(separator: "ping\r\n^C")
                    return parts.count > 1 && parts[parts.count - 1].contains("bash-")
                })
            try type("echo ended $?\n", into: "two", awaiting: "ended 130")
            try type("kill %1; exit 3\n", into: "two", awaiting: "exit")
            #expect(eventually { !world.isAlive(pid) })
        }
    }

    /// A log file that another takes the place of, named from the root on, and keys that name nothing.
    @Test func keysThatNameNothing() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "counter"), in: world)
            let dump = try world.dump(running.pid, to: "images", ["--external", "pipe:[1]"])
            #expect(dump.status == 0, "\(dump)")
            #expect(text(world.path("images/dump.log")).contains("--external pipe:[1] has no effect"))
            let end = try newPipe()
            for key in ["pipe:[1]", "no/such/file", "file[1:2]"] {
                var command = world.command([
                    Place.apus, "restore", "-D", world.path("images"), "-d", "--inherit-fd", "fd[7]:\(key)",
                ])
                command.inherited = [(7, end.writing)]
                let restored = try command.run()
                #expect(restored.status == 1, "\(key): \(restored)")
                #expect(restored.errors.contains("nothing in the images is called \(key)"), "\(restored)")
            }
            var command = world.command(
                [
                    Place.apus, "restore", "-D", world.path("images"), "-d", "--inherit-fd",
                    "fd[7]:\(world.path("counter.out"))",
                ])
            command.inherited = [(7, end.writing)]
            let restored = try command.run()
            #expect(restored.status == 0, "\(restored)")
            _ = world.signal(SIGUSR1, running.pid)
            #expect(eventually { hear(end.reading).contains("OK") })
        }
    }
}

/// The subject `guest`, with descriptors from outside of its world.
private final class Guest {
    private let world: World
    private(set) var pid: Int32

    init(in world: World, _ given: [(there: Int32, here: Int32)]) throws {
        self.world = world
        var command = world.command([
            "sh", "-c",
            "setsid \(Place.subject("guest")) </dev/null >>\(world.path("guest.out")) 2>&1 & echo $!",
        ])
        command.inherited = given
        let started = try command.run()
        pid = try #require(Int32(started.output.dropLast()), "\(started)")
        let path = world.path("guest.out")
        #expect(eventually { lines(path).contains("ready") })
    }

    /// Lets it check itself, and gives what it finds wrong.
    func check() -> [String] {
        let path = world.path("guest.out")
        let before = lines(path)
        func verdicts(_ lines: [String]) -> Int { lines.count { $0 == "OK" || $0 == "BAD" } }
        guard world.signal(SIGUSR1, pid) else { return ["it is gone"] }
        guard eventually({ verdicts(lines(path)) > verdicts(before) }) else { return ["no answer"] }
        return lines(path).dropFirst(before.count).filter { $0 != "OK" }
    }

    /// What of it leads outside, as `apus explain` says: for each a key, in the order of the descriptors.
    func keys() throws -> [String] {
        let explained = try world.apus(["explain", "--json", "\(pid)"])
        let found = try JSONSerialization.jsonObject(with: Data(explained.output.utf8)) as? [String: Any]
        let problems = (found?["problems"] as? [[String: Any]] ?? []).sorted {
            let numbers = [$0, $1].map { (($0["object"] as? [String: Any])?["fd"] as? Int) ?? 0 }
            return numbers[0] < numbers[1]
        }
        return problems.compactMap { $0["settled_by"] as? String }.map {
            String($0.dropFirst("--external '".count).dropLast())
        }
    }

    func tryRestore(
        _ given: [(key: String, here: Int32)], from images: String = "images", options: [String] = []
    ) throws -> Finished {
        let keys = given.enumerated().flatMap { ["--inherit-fd", "fd[\($0 + 20)]:\($1.key)"] }
        var command = world.command(
            [Place.apus, "restore", "-D", world.path(images), "-d", "-v4", "-o", "restore.log"] + keys + options)
        command.inherited = given.enumerated().map { (Int32($0 + 20), $1.here) }
        return try command.run()
    }

    func restore(_ given: [(key: String, here: Int32)], from images: String = "images") throws {
        let restored = try tryRestore(given, from: images)
        try #require(restored.status == 0, "\(restored)\n\(world.log(images, "restore"))")
    }
}

private func newSocketPair() throws -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0, &ends) == 0 else {
        throw Failed("no pair of sockets")
    }
    return (ends[0], ends[1])
}

private func say(_ text: String, _ descriptor: Int32) {
    let bytes = Array(text.utf8)
    _ = unsafe write(descriptor, bytes, bytes.count)
}

/// All that can be read at once.
private func hear(_ descriptor: Int32) -> String {
    var found = ""
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&ready, 1, 0) == 1, ready.revents & Int16(POLLIN) != 0 {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe read(descriptor, &buffer, buffer.count)
        if count <= 0 { break }
        found += String(decoding: buffer.prefix(count), as: UTF8.self)
    }
    return found
}
