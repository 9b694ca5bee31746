import Glibc
import Testing

/// Trees that use a terminal from outside move to another host, and go on in a new one there.
@Suite(
    "Terminals that move along", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: Programs.has("python3", "bash"), "needs python3 and bash"))
struct MovedTerminalTests {
    /// Without --detach or --attach it is refused, and both are named. With it somebody can be joined to it: what he types is read, Ctrl-C is
    /// a signal, the size of his window that of the program's; he can leave and come back.
    @Test func aJobOfAShellThatStays() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            let refused = try journey.migrate(moved.pid)
            #expect(refused.status == 1 && refused.errors.contains("--detach"), "\(refused)")
            #expect(refused.errors.contains("--attach") && !refused.errors.contains("--shell-job"), "\(refused)")
            try moved.migrate(["--detach"])
            let first = try moved.attach("first")
            try first.expect("Ctrl-] d leaves it running")
            try first.type("hello\n", awaiting: "got hello")
            try first.type("\u{3}", awaiting: "INT")
            let size = try moved.resize(first, rows: 41, columns: 97)
            #expect(size == "41 97\n")
            // The shell sees to a signal when it has read a line.
            try first.type("now\n", awaiting: "WINCH 41 97")
            // Another is told who is there, and may take it.
            let second = try moved.attach("second")
            try second.expect("terminal-in-use")
            try second.expect("at /dev/pts/")
            #expect(eventually { second.job.status == 1 })
            let third = try moved.attach("third", ["--take"])
            try third.type("more\n", awaiting: "got more")
            try first.expect("has taken its terminal")
            #expect(eventually { first.job.status == 1 })
            // Leave it, and come back to what was printed meanwhile.
            try third.type("later\n", awaiting: "later")
            try third.type("\u{1d}d", awaiting: "goes on")
            #expect(eventually { third.job.status == 0 })
            #expect(eventually { exists(journey.source.path("late")) })
            let fourth = try moved.attach("fourth")
            try fourth.expect("much later")
            // A window of the same size has it drawn anew.
            try fourth.type("now\n", awaiting: "WINCH")
            try fourth.type("quit\n", awaiting: "has ended")
            #expect(eventually { fourth.job.status == 7 }, "\(String(describing: fourth.job.status))")
            try moved.expectNothingLeft()
        }
    }

    /// Nobody reads what it prints, and it never waits for that.
    @Test func aFloodThatNobodyReads() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            moved.job.type(Array("flood\n".utf8))
            try moved.migrate(["--detach"])
            #expect(eventually(seconds: 30) { exists(journey.source.path("flooded")) })
            let attached = try moved.attach("out")
            try attached.expect("flood is over")
            #expect(text(journey.target.path("out-out")).utf8.count < 70_000)
            try attached.type("hello\n", awaiting: "got hello")
        }
    }

    /// The leader of the session moves, with its jobs.
    @Test func anInteractiveShell() throws {
        try withJourney { journey in
            let shell = ["env", "PS1=> ", "TERM=xterm", "bash", "--norc", "--noprofile", "-i"]
            let moved = try MovedTerminal(journey, session: shell)
            try moved.typeHere("sleep 1000 &\n", awaiting: "[1] ")
            try moved.typeHere("word=kept; cd /usr; stty -echoctl; echo at $PWD\n", awaiting: "at /usr")
            try moved.migrate(["--detach"])
            let attached = try moved.attach("shell")
            try attached.type("echo $word $((6 * 7)); tty\n", awaiting: "kept 42")
            try attached.expect("/dev/pts/")
            try attached.type("stty -a | grep -o -- -echoctl | tr e E\n", awaiting: "-Echoctl")
            try attached.type("jobs\n", awaiting: "Running                 sleep 1000")
            try attached.type("fg\n", awaiting: "sleep 1000")
            // The shell has printed that before it gives the terminal to the job.
            usleep(300_000)
            try attached.type("\u{1a}", awaiting: "Stopped")
            try attached.type("bg\n", awaiting: "sleep 1000 &")
            try attached.type("fg\n", awaiting: "sleep 1000")
            usleep(300_000)
            try attached.type("\u{3}", awaiting: "> ")
            try attached.type("echo ended $?\n", awaiting: "ended 130")
            try attached.type("exit 5\n", awaiting: "has ended")
            #expect(eventually { attached.job.status == 5 })
            try moved.expectNothingLeft()
        }
    }

    /// Stopped by Ctrl-Z, as one has it who then moves it from the same shell: it goes on when somebody is joined to it.
    @Test func aStoppedJob() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            journey.source.signal(SIGSTOP, moved.pid)
            #expect(eventually { !journey.runs(moved.pid).here })
            try moved.migrate(["--detach"])
            let attached = try moved.attach("out")
            try attached.type("hello\n", awaiting: "got hello")
        }
    }

    /// `apus migrate --attach` in a terminal: it ends in the one of the program, on the other host.
    @Test func leavesTheUserJoined() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            let user = Joined(
                try journey.source.job(try moved.command(["--attach"]), output: "user"), journey.source, "user")
            try user.expect("The tree runs on there")
            try user.expect("Ctrl-] d leaves it running")
            try user.type("hello\n", awaiting: "got hello")
            try user.type("\u{3}", awaiting: "INT")
            _ = try journey.source.succeed(
                "stty", "-F", user.terminal(in: journey.source), "rows", "33", "cols", "111")
            try user.type("now\n", awaiting: "WINCH 33 111")
            try user.type("quit\n", awaiting: "has ended")
            #expect(eventually { user.job.status == 7 })
            try moved.expectNothingLeft()
        }
    }

    /// The connection is cut before the hand-over: the tree is where it was, and nothing is left there.
    @Test func failuresLeaveNothing() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            try moved.migrate(["--detach"])
            let frames = journey.frames.out
            try #require(frames > 20)
            journey.target.killAll()
            // The keeper was killed as well: whoever looks for its socket removes that.
            #expect(try moved.list().contains("\"terminals\": []"))
            let again = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            // How many there are is different each time: these come before the release. Back come at least welcome, verdict, received,
            // ready, and the last word.
            for cut in [(1, 0), (2, 0), (frames / 4, 0), (frames / 2, 0), (0, 1), (0, 2), (0, 3)] {
                let result = try journey.migrate(
                    again.pid, ["--detach", "--remote-apus", again.remote], cut: cut)
                let number = "\(cut)"
                #expect(result.status == 1, "cut after \(number): \(result)")
                #expect(journey.runs(again.pid) == (true, false), "cut after \(number)")
                try again.expectNothingLeft()
            }
            again.job.type(Array("here\n".utf8))
            #expect(eventually { text(journey.source.path("talk")).contains("got here") })
        }
    }

    /// Whoever takes the tree is killed, at some steps and at all of the last ones: either the tree is where it was and nothing is left there, or it runs
    /// there in a terminal that somebody can be joined to.
    @Test func theReceiverIsKilled() throws {
        try withJourney { journey in
            let log = journey.source.path("steps")
            try journey.serve(["APUS_TEST_STEP_LOG": log])
            let whole = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            try whole.migrate(["--detach"])
            try #require(eventually { Int(text(log).dropLast()) != nil })
            let steps = try #require(Int(text(log).dropLast()))
            journey.target.killAll()
            #expect(try whole.list().contains("\"terminals\": []"))
            var here = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            var arrived = 0
            for step in [1, steps / 3, steps / 2] + (steps - 5...steps) {
                try journey.serve(["APUS_TEST_KILL_AT_STEP": "\(step)"])
                let result = try journey.migrate(
                    here.pid, ["--detach", "--remote-apus", here.remote],
                    environment: ["APUS_TEST_SETTLING_TIME": "2"])
                try journey.serve([:])
                let place = "killed at step \(step) of \(steps)"
                _ = try journey.recover()
                #expect(
                    eventually { journey.runs(here.pid).here != journey.runs(here.pid).there }, "\(place): \(result)")
                if journey.runs(here.pid).there {
                    arrived += 1
                    let attached = try here.attach("\(step)")
                    try attached.type("hello\n", awaiting: "got hello")
                    try attached.type("quit\n", awaiting: "has ended")
                    #expect(eventually { attached.job.status == 7 }, "\(place)")
                    try here.expectNothingLeft()
                    here = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
                } else {
                    try here.expectNothingLeft()
                }
            }
            #expect(arrived > 0)
        }
    }

    /// Without ssh it goes as well, but for --attach.
    @Test func byAUnixSocket() throws {
        try withJourney { journey in
            let socket = journey.source.path("receive.sock")
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            let listener = try journey.target.command([moved.remote, "receive", "--listen", socket]).start()
            #expect(eventually { listener.outputSoFar.contains(socket) })
            let command = [Place.apus, "migrate", "\(moved.pid)", socket, "--to", "unix", "--state-dir", journey.state]
            let result = try journey.source.command(command + ["--detach"]).run(seconds: 60)
            try #require(result.status == 0, "\(result)\(listener.errorsSoFar)")
            #expect(result.output.contains("apus attach "), "\(result)")
            let attached = try moved.attach("out")
            try attached.type("hello\n", awaiting: "got hello")
            try attached.type("quit\n", awaiting: "has ended")
            _ = listener.stop()
        }
    }

    /// A terminal that is lost is lost: the programs are told so by SIGHUP.
    @Test func theKeeperIsKilled() throws {
        try withJourney { journey in
            let moved = try MovedTerminal(journey, job: MovedTerminal.talker(journey))
            try moved.migrate(["--detach"])
            let attached = try moved.attach("out")
            try attached.type("hello\n", awaiting: "got hello")
            let list = try moved.list()
            let keeper = try #require(list.firstMatch(of: /"keeper": ([0-9]+)/).flatMap { Int32($0.1) })
            #expect(list.contains("\"attached\": \"") && list.contains("\"pid\": \(moved.pid)"), "\(list)")
            journey.target.signal(SIGKILL, keeper)
            #expect(eventually { !journey.target.isAlive(moved.pid) })
            try attached.expect("terminal-lost")
            #expect(eventually { attached.job.status == 1 })
            #expect(try moved.list().contains("\"terminals\": []"))
        }
    }

    /// Without a terminal there is nothing to join anybody to: what is in the way is the session alone.
    @Test func aSessionThatStays() throws {
        try withJourney { journey in
            let shell = try journey.source.start(["sh", "-c", "sleep 1000 & wait"], output: "out")
            func children() -> [Int32] { journey.source.processes.filter { $0 != shell } }
            try #require(eventually { children().contains { journey.source.isReleased($0, named: "sleep") } })
            let pid = try #require(children().first)
            let refused = try journey.migrate(pid)
            #expect(refused.status == 1 && refused.errors.contains("begins a session of its own"), "\(refused)")
            #expect(refused.errors.contains("setsid") && !refused.errors.contains("pseudo-terminal"), "\(refused)")
            let moved = try journey.migrate(pid, ["--detach"])
            #expect(moved.status == 0, "\(moved)")
            #expect(eventually { journey.target.isReleased(pid, named: "sleep") })
            let stat = text("\(journey.target.proc)/\(pid)/stat").split(separator: " ")
            #expect(stat.count > 5 && stat[5] == "\(pid)", "\(stat)")
        }
    }

    /// What does not go is said before anybody is called.
    @Test func refusals() throws {
        try withWorld { world in
            let pid = try world.start(["sleep", "1000"], output: "out")
            func refused(_ options: [String], _ words: String...) throws {
                let result = try world.apus(["migrate", "\(pid)", "there", "--ssh-command", "false"] + options)
                #expect(
                    result.status == 1 && words.allSatisfy { (result.output + result.errors).contains($0) }, "\(result)"
                )
            }
            try refused(["--attach"], "not-a-terminal", "--detach")
            try refused(["--attach", "--detach"], "do not go together")
            try refused(["--attach", "--json"], "do not go together")
            let tls = try world.apus(["migrate", "\(pid)", "there", "--to", "tls", "--attach"])
            #expect(tls.status == 1 && tls.errors.contains("--attach goes by ssh"), "\(tls)")
            let migrate = "\(Place.apus) migrate \(pid) there --ssh-command false --attach"
            let job = try world.job(["sh", "-c", migrate], output: "attach")
            #expect(eventually { job.status == 1 })
            #expect(text(world.path("attach")).contains("no terminal from outside"), "\(text(world.path("attach")))")
            #expect(world.isAlive(pid))
            let unknown = try world.apus(["attach", "4711", "--state-dir", world.path("state")])
            #expect(unknown.status == 1 && unknown.errors.contains("terminal-unknown"), "\(unknown)")
        }
    }
}

/// A tree in a terminal from outside, that moves.
private final class MovedTerminal {
    let journey: Journey
    let job: Job
    let pid: Int32
    /// Apus there, with a place of its own for sockets.
    let remote: String
    private var state: String { journey.source.path("state-there") }

    private init(_ journey: Journey, _ job: Job) throws {
        self.journey = journey
        self.job = job
        pid = try #require(job.pid)
        remote = journey.source.path("remote")
        try write(
            "#!/bin/sh\nexec \(Place.apus) \"$@\" --state-dir \(journey.source.path("state-there"))\n", to: remote)
        try journey.source.succeed("chmod", "755", remote)
    }

    /// A job of a shell that stays.
    convenience init(_ journey: Journey, job command: [String]) throws {
        try self.init(journey, try journey.source.job(command, output: "talk"))
        let out = journey.source.path("talk")
        try #require(eventually { text(out).hasSuffix("ready\r\n") })
    }

    /// The leader of the session.
    convenience init(_ journey: Journey, session command: [String]) throws {
        try self.init(journey, try journey.source.job(command, output: "talk", leads: true))
        let out = journey.source.path("talk")
        try #require(eventually { text(out).contains("> ") })
    }

    /// Says what it has read, and which signals have come.
    static func talker(_ journey: Journey) -> [String] {
        let folder = journey.source.folder
        let script = """
            trap "echo INT" INT; trap 'echo WINCH $(stty size)' WINCH; echo ready
            while true; do
                read line || continue
                case $line in
                quit) exit 7;;
                later) (sleep 1; echo much later; touch \(folder)/late) & ;;
                flood) sleep 3; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo flood is over; touch \(folder)/flooded;;
                *) echo got $line;;
                esac
            done
            """
        return ["bash", "--norc", "--noprofile", "-c", script]
    }

    func migrate(_ options: [String]) throws {
        let moved = try journey.migrate(pid, options + ["--remote-apus", remote])
        try #require(moved.status == 0, "\(moved)\n\(journey.logThere)")
        #expect(moved.output.contains("attach "), "\(moved)")
        #expect(journey.runs(pid).here == false)
    }

    /// `apus migrate` for a user in a terminal; in the place of ssh a script that reaches the socket of the other world.
    func command(_ options: [String]) throws -> [String] {
        let shell = journey.source.path("shell")
        let link = "python3 \(Programs.path("link.py")) connect \(journey.source.path("link.socket")) 0 0"
        try write(
            "#!/bin/sh\ncase \"$*\" in *receive*) exec \(link) \"$@\";; esac\nshift\nexec \"$@\"\n", to: shell)
        try journey.source.succeed("chmod", "755", shell)
        return [
            Place.apus, "migrate", "\(pid)", "there", "--state-dir", journey.state, "--ssh-command", shell,
            "--remote-apus",
            remote,
        ] + options
    }

    func attach(_ name: String, _ options: [String] = []) throws -> Joined {
        let command = [Place.apus, "attach", "\(pid)", "--state-dir", state] + options
        return Joined(try journey.target.job(command, output: "out-\(name)"), journey.target, "out-\(name)")
    }

    func list() throws -> String {
        try journey.target.apus(["attach", "--list", "--json", "--state-dir", state]).output
    }

    /// Sets the size of the window of somebody who is joined; that of the program, a moment later.
    func resize(_ joined: Joined, rows: Int, columns: Int) throws -> String {
        let list = try list()
        let own = try #require(list.firstMatch(of: /"terminal": "([^"]+)"/)).1
        try journey.target.succeed(
            "stty", "-F", joined.terminal(in: journey.target), "rows", "\(rows)", "cols", "\(columns)")
        let wanted = "\(rows) \(columns)\n"
        _ = eventually { (try? journey.target.succeed("stty", "-F", String(own), "size")) == wanted }
        return try journey.target.succeed("stty", "-F", String(own), "size")
    }

    /// No keeper, no socket, no process.
    func expectNothingLeft() throws {
        #expect(eventually { journey.target.processes.isEmpty }, "\(journey.target.processes)")
        #expect(names(in: state + "/terminals") == [])
    }

    func typeHere(_ line: String, awaiting answer: String) throws {
        let before = text(journey.source.path("talk")).utf8.count
        job.type(Array(line.utf8))
        let came = {
            String(decoding: text(self.journey.source.path("talk")).utf8.dropFirst(before), as: UTF8.self)
        }
        try #require(eventually { came().contains(answer) }, "\(line): no \(answer) in \(came())")
    }
}

/// Somebody at a terminal.
private struct Joined {
    let job: Job
    private let path: String

    init(_ job: Job, _ world: World, _ name: String) {
        self.job = job
        path = world.path(name)
    }

    func expect(_ words: String) throws {
        try #require(eventually { text(path).contains(words) }, "no \(words) in \(text(path))")
    }

    func type(_ line: String, awaiting answer: String) throws {
        let before = text(path).utf8.count
        job.type(Array(line.utf8))
        let came = { String(decoding: text(path).utf8.dropFirst(before), as: UTF8.self) }
        try #require(eventually { came().contains(answer) }, "\(line): no \(answer) in \(came())")
    }

    /// The name of his terminal.
    func terminal(in world: World) -> String {
        (try? world.succeed("readlink", "/proc/\(job.pid ?? 0)/fd/0").dropLast()).map(String.init) ?? ""
    }
}
