import Glibc
import Testing

/// Trees that move by TLS, and who is kept from sending any.
@Suite(
    "Migration by TLS", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3"), "needs python3")
)
struct TLSMigrationTests {
    @Test(arguments: [Subject(name: "counter"), Subject(name: "ballast", arguments: ["40"])])
    func moves(_ subject: Subject) throws {
        try withPairedWorlds { worlds in
            let running = try RunningSubject(subject, in: worlds.source)
            let before = running.snapshot
            let moved = try worlds.migrate(running.pid, subject.options)
            try #require(moved.status == 0, "\(moved)\n\(worlds.log)")
            #expect(!before.tasks.contains(where: worlds.source.isAlive), "some are left")
            let there = RunningSubject(running, in: worlds.target)
            #expect(there.changes(since: before) == [])
            #expect(there.check() == [])
            // The listener ends by itself when it is told to, and leaves alone what has come.
            let listener = worlds.listener
            worlds.endListener()
            #expect(listener.wait(seconds: 10).status == 0, "\(listener.stop())")
            #expect(there.check() == [])
        }
    }

    @Test func aTokenPairsOnce() throws {
        try withPairedWorlds { worlds in
            let token = try worlds.token()
            #expect(try worlds.pair(token).status == 0)
            let again = try worlds.pair(token, ["--state-dir", worlds.source.path("state-of-another")])
            #expect(again.status == 1 && again.errors.contains("not-paired"), "\(again)")
            let nonsense = try worlds.pair("nonsense\n")
            #expect(nonsense.status == 1 && nonsense.errors.contains("bad-token"), "\(nonsense)")
        }
    }

    /// It knows the other host, and has a key; but the other host does not know it.
    @Test func whoIsNotPairedIsRefused() throws {
        try withPairedWorlds { worlds in
            let running = try RunningSubject(Subject(name: "counter"), in: worlds.source)
            let before = running.snapshot
            let unknown = try worlds.migrate(running.pid, ["--state-dir", worlds.source.path("no-state")])
            #expect(unknown.status == 1 && unknown.errors.contains("--pair"), "\(unknown)")
            try worlds.target.succeed("sh", "-c", "rm \(worlds.stateThere)/tls/senders/*")
            let refused = try worlds.migrate(running.pid)
            #expect(refused.status == 1 && refused.errors.contains("does not know this host"), "\(refused)")
            #expect(eventually { worlds.log.contains("is not paired") }, "\(worlds.log)")
            #expect(!worlds.log.contains("is taken"), "\(worlds.log)")
            #expect(running.changes(since: before) == [])
            #expect(running.check() == [])
        }
    }

    /// Another host answers where the one was that is known.
    @Test func anotherHostAnswers() throws {
        try withPairedWorlds { worlds in
            let running = try RunningSubject(Subject(name: "counter"), in: worlds.source)
            try worlds.target.succeed("rm", "\(worlds.stateThere)/tls/identity.pem")
            _ = try worlds.token()
            let refused = try worlds.migrate(running.pid)
            #expect(refused.status == 1 && refused.errors.contains("is not the host that was paired"), "\(refused)")
            #expect(running.check() == [])
        }
    }

    /// Frames without TLS, nothing at all, and more of that than there may be: none of it gets further, and none of it is in the way.
    @Test func bytesThatAreNoTLS() throws {
        try withPairedWorlds { worlds in
            let script = """
                import socket, sys
                body = b'{"protocol": 1, "uuid": "00000000-0000-4000-8000-000000000000"}'
                frame = b"AP\\1\\0" + len(body).to_bytes(4, "little") + body
                one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                one.sendall(frame)
                answer = one.recv(1000)
                assert b"AP" not in answer, answer
                one.close()
                print("refused", flush=True)
                sys.stdin.readline()
                silent = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(50)]
                print("ready", flush=True)
                sys.stdin.read()
                """
            let stranger = try Command(["python3", "-c", script, "\(worlds.port)"]).start()
            #expect(eventually { worlds.log.contains("was refused") }, "\(worlds.log)\n\(stranger.errorsSoFar)")
            stranger.type(Array("go on\n".utf8))
            #expect(eventually { stranger.outputSoFar.hasSuffix("ready\n") }, "\(stranger.errorsSoFar)")
            let running = try RunningSubject(Subject(name: "counter"), in: worlds.source)
            let moved = try worlds.migrate(running.pid)
            #expect(moved.status == 0, "\(moved)\n\(worlds.log)")
            #expect(RunningSubject(running, in: worlds.target).check() == [])
            #expect(worlds.log.contains("too many"), "\(worlds.log)")
            stranger.closeInput()
            #expect(stranger.wait(seconds: 10).status == 0)
        }
    }

    @Test func byAUnixSocket() throws {
        try withJourney { journey in
            let socket = journey.source.path("receive.sock")
            let listener = try journey.target.command(
                [Place.apus, "receive", "--listen", socket, "--state-dir", journey.source.path("state-there"), "-v3"]
            ).start()
            #expect(eventually { listener.outputSoFar.contains(socket) })
            let running = try RunningSubject(Subject(name: "counter"), in: journey.source)
            func migrate(_ command: [String]) throws -> Finished {
                try journey.source.command(
                    command + [
                        Place.apus, "migrate", "\(running.pid)", socket, "--to", "unix", "--state-dir", journey.state,
                    ]
                ).run(seconds: 60)
            }
            // Somebody else cannot even open it.
            let stranger = try journey.source.command(
                [
                    "python3", "-c",
                    "import os, socket, sys; os.setuid(65534); socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
                    socket,
                ]
            ).run()
            #expect(stranger.errors.contains("PermissionError"), "\(stranger)")
            // And who gets at it nevertheless is recognised.
            try journey.source.succeed("chmod", "666", socket)
            let foreigner = try journey.source.command(
                [
                    "python3", "-c",
                    "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(10))",
                    socket,
                ]
            ).run()
            #expect(foreigner.output == "b''\n", "\(foreigner)")
            let moved = try migrate([])
            try #require(moved.status == 0, "\(moved)\n\(listener.errorsSoFar)")
            #expect(RunningSubject(running, in: journey.target).check() == [])
            #expect(journey.runs(running.pid) == (false, true))
        }
    }

    // MARK: Cuts

    private static let subject = Subject(name: "pipes")

    /// The connection is cut at records of TLS, there and back: in the handshake, in the midst, and at each of the last ones.
    @Test(arguments: ["there", "back"])
    func theLinkIsCut(_ direction: String) throws {
        try withPairedWorlds { worlds in
            var running = try RunningSubject(Self.subject, in: worlds.source)
            let records = try count(worlds, running, direction)
            worlds.target.killTrees(worlds)
            running = try RunningSubject(Self.subject, in: worlds.source)
            for number in 1..<records where number < 8 || number % (records / 6 + 1) == 0 || number > records - 8 {
                let moved = try worlds.migrate(running.pid, cut: cut(direction, number))
                running = try settled(running, worlds, moved, "cut \(direction) after \(number) of \(records) records")
            }
        }
    }

    /// The network stays away after the cut: the tree is where it was, or stands still, and `apus recover` settles it.
    @Test(arguments: ["there", "back"])
    func theNetworkStaysAway(_ direction: String) throws {
        try withPairedWorlds { worlds in
            var running = try RunningSubject(Self.subject, in: worlds.source)
            let records = try count(worlds, running, direction)
            worlds.target.killTrees(worlds)
            running = try RunningSubject(Self.subject, in: worlds.source)
            for number in max(records - 5, 1)..<records {
                let moved = try worlds.migrate(
                    running.pid, cut: cut(direction, number), breaks: true,
                    environment: ["APUS_TEST_SETTLING_TIME": "1"])
                let place = "cut for good \(direction) after \(number) of \(records) records"
                if moved.errors.contains("migration-unsettled") {
                    #expect(eventually { !worlds.runs(running.pid).here }, "\(place)")
                    #expect(worlds.source.isAlive(running.pid), "\(place)")
                    #expect(try worlds.recover().status == 1, "\(place)")
                }
                worlds.repair()
                running = try settled(running, worlds, moved, place)
            }
        }
    }

    private func cut(_ direction: String, _ number: Int) -> (there: Int, back: Int) {
        direction == "there" ? (number, 0) : (0, number)
    }

    /// How many records a whole migration takes.
    private func count(_ worlds: PairedWorlds, _ running: RunningSubject, _ direction: String) throws -> Int {
        let whole = try worlds.migrate(running.pid)
        try #require(whole.status == 0, "\(whole)\n\(worlds.log)")
        #expect(eventually { worlds.records != nil })
        let records = try #require(worlds.records)
        let count = direction == "there" ? records.there : records.back
        try #require(count > 5)
        return count
    }

    /// Looks where the tree is, settles what is in doubt, and checks the tree.
    ///
    /// - Returns: the subject to go on with, in the first world.
    private func settled(
        _ running: RunningSubject, _ worlds: PairedWorlds, _ moved: Finished, _ place: String
    ) throws -> RunningSubject {
        let pid = running.pid
        func isOnce() -> Bool {
            let runs = worlds.runs(pid)
            return runs.here ? !worlds.target.isAlive(pid) : runs.there && !worlds.source.isAlive(pid)
        }
        var isSettled = eventually(seconds: 3, isOnce)
        #expect(!(worlds.runs(pid).here && worlds.runs(pid).there), "\(place): it runs twice")
        if !isSettled || names(in: worlds.state + "/departures").contains(where: { $0.hasSuffix(".json") }) {
            let recovered = try worlds.recover()
            #expect(recovered.status == 0, "\(place): \(recovered)")
            isSettled = eventually(seconds: 3, isOnce)
        }
        try #require(isSettled, "\(place): \(worlds.runs(pid)) \(moved)\n\(worlds.log)")
        if worlds.runs(pid).here {
            #expect(moved.status != 0, "\(place): \(moved)")
            #expect(eventually { worlds.treesThere == [] }, "\(place): \(worlds.treesThere)")
            #expect(running.check() == [], "\(place)")
            return running
        }
        #expect(RunningSubject(running, in: worlds.target).check() == [], "\(place)")
        worlds.target.killTrees(worlds)
        worlds.source.killAll()
        return try RunningSubject(Self.subject, in: worlds.source)
    }
}

extension World {
    /// Kills the trees that have come, and not the listener.
    func killTrees(_ worlds: PairedWorlds) {
        _ = eventually(seconds: 5) {
            for pid in worlds.treesThere { signal(SIGKILL, pid) }
            return worlds.treesThere.isEmpty
        }
    }
}
