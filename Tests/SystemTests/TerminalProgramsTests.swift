import Glibc
import Images
import SystemPackage
import Testing

/// Programs of Debian that live in terminals, or have some, dumped and restored three times while somebody works with them.
@Suite("Real programs in terminals", .serialized, .enabled(if: geteuid() == 0, "needs root"))
struct TerminalProgramsTests {
    // MARK: Multiplexers, whose terminals are all in the tree

    /// An editor, a pager, a shell with a line half typed, and a program that draws all the time.
    @Test(.enabled(if: Programs.has("tmux", "vim", "less", "htop"), "needs tmux, vim, less and htop"))
    func tmux() throws {
        try withWorld { world in
            try write((1...200).map { "line \($0)\n" }.joined(), to: world.path("text"))
            let tmux = Multiplexer(
                world: world, command: ["tmux", "-S", world.path("socket"), "-f", "/dev/null"])
            let text = world.path("text")
            try tmux.run([
                "new-session", "-d", "-s", "s", "-x", "80", "-y", "24", "vim", "-u", "NONE", "-i", "NONE", text,
            ])
            try tmux.run(["new-window", "-d", "-t", "s", "less", text])
            try tmux.run(["new-window", "-d", "-t", "s", "bash", "--norc", "--noprofile"])
            try tmux.run(["new-window", "-d", "-t", "s", "htop"])
            let pid = try #require(Int32(try tmux.run(["display", "-p", "#{pid}"]).dropLast()))
            func screen(_ window: Int) throws -> String { try tmux.run(["capture-pane", "-p", "-t", "s:\(window)"]) }
            func type(_ window: Int, _ keys: String...) throws {
                try tmux.run(["send-keys", "-t", "s:\(window)"] + keys)
            }
            try tmux.expect("line 23", in: { try screen(0) + screen(1) })
            try tmux.expect("$", in: { try screen(2) })
            try tmux.expect("Tasks:", in: { try screen(3) })
            try type(0, "itext ")
            try type(2, "cat", "Enter", "half")
            try tmux.expect("text line 1\n", in: { try screen(0) })
            try tmux.expect("\nhalf", in: { try screen(2) })
            for round in 1...3 {
                let before = try (0...2).map(screen)
                let drawing = try screen(3)
                let layout = Self.layout(ofHtop: drawing)
                #expect(layout.count == 3, "\(drawing)")
                try world.requireDump(pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(try (0...2).map(screen) == before, "round \(round)")
                #expect(try Self.layout(ofHtop: screen(3)) == layout, "round \(round)")
                try type(0, "round\(round) ")
                try type(1, "Space")
                try type(2, "way\(round)", "Enter", "half")
                try tmux.expect("round\(round) line 1\n", in: { try screen(0) })
                try tmux.expect("line \(23 + 23 * round)\n", in: { try screen(1) })
                // Echoed, and written by cat.
                try tmux.expect("halfway\(round)\n", in: { try screen(2) })
                let drawn = try screen(3)
                #expect(eventually { (try? screen(3) != drawn) == true }, "htop does not draw in round \(round)")
            }
            try tmux.run(["kill-server"])
            #expect(eventually { world.processes.isEmpty }, "\(world.processes)")
        }
    }

    /// In which lines its parts stand, whose numbers change all the time.
    private static func layout(ofHtop screen: String) -> [Int] {
        let lines = screen.split(separator: "\n", omittingEmptySubsequences: false)
        return ["Tasks:", "PID", "F1Help"].compactMap { part in lines.firstIndex { $0.contains(part) } }
    }

    @Test(.enabled(if: Programs.has("screen", "bash"), "needs screen"))
    func screen() throws {
        try withWorld { world in
            try world.succeed("mkdir", "-m", "700", world.path("sockets"))
            let screen = Multiplexer(
                world: world, command: ["env", "SCREENDIR=\(world.path("sockets"))", "screen"])
            try screen.run(["-c", "/dev/null", "-dmS", "one", "bash", "--norc", "--noprofile"])
            func look() throws -> String {
                _ = unsafe unlink(world.path("copy"))
                try screen.run(["-S", "one", "-X", "hardcopy", world.path("copy")])
                _ = eventually { text(world.path("copy")).hasSuffix("\n") }
                return text(world.path("copy"))
            }
            try screen.expect("$", in: look)
            let pid = try #require(world.processes.first { pid in text("\(world.proc)/\(pid)/comm") == "screen\n" })
            for round in 1...3 {
                let before = try look()
                try world.requireDump(pid, to: "images-\(round)")
                try world.requireRestore("images-\(round)")
                #expect(try look() == before, "round \(round)")
                try screen.run(["-S", "one", "-X", "stuff", "echo $((\(round) * 111))\n"])
                try screen.expect("\n\(round * 111)\n", in: look)
            }
            try screen.run(["-S", "one", "-X", "quit"])
            #expect(eventually { world.processes.isEmpty }, "\(world.processes)")
        }
    }

    // MARK: A shell with jobs

    /// In a terminal whose master is outside; and under `script`, whose terminal is in the tree, in another one.
    @Test(
        .enabled(if: Programs.has("bash", "script"), "needs bash and script"),
        arguments: ["bash --norc --noprofile -i", "script -q -f -c 'bash --norc --noprofile -i' FOLDER/typescript"])
    func jobs(_ shell: String) throws {
        try withWorld { world in
            let shell = [
                "env", "PS1=> ", "TERM=xterm", "sh", "-c", "exec " + shell.replacing("FOLDER", with: world.folder),
            ]
            var terminals = [try world.job(shell, output: "out")]
            let pid = try #require(terminals[0].pid)
            func type(_ line: String, awaiting answer: String) throws {
                let before = text(world.path("out")).utf8.count
                terminals.last?.type(Array(line.utf8))
                let came = { String(decoding: text(world.path("out")).utf8.dropFirst(before), as: UTF8.self) }
                try #require(eventually { came().contains(answer) }, "\(line): no \(answer) in \(came())")
            }
            try #require(eventually { text(world.path("out")).contains("> ") })
            try type("sleep 1000 &\n", awaiting: "[1] ")
            try type("sleep 2000 &\n", awaiting: "[2] ")
            try type("word=kept; cd /usr; echo at $PWD\n", awaiting: "at /usr")
            for round in 1...3 {
                let images = "images-\(round)"
                // Opened before the dump: afterwards it could be given the number of the one in the tree.
                let restore =
                    "read line; exec \(Place.apus) restore -D \(world.path(images)) --shell-job -o restore.log"
                let next = try world.job(["sh", "-c", restore], output: "out")
                try world.requireDump(pid, to: images, ["--shell-job"])
                terminals.append(next)
                next.type([10])
                try #require(
                    eventually { world.isReleased(pid, named: "bash") || world.isReleased(pid, named: "script") },
                    "\(world.log(images, "restore"))")
                try type("jobs; echo $word $((6 * 7))\n", awaiting: "kept 42")
                try type("fg %1\n", awaiting: "sleep 1000")
                // The shell has printed that before it gives the terminal to the job.
                usleep(300_000)
                try type("\u{1a}", awaiting: "Stopped")
                try type("bg\n", awaiting: "sleep 1000 &")
                try type("jobs\n", awaiting: "Running                 sleep 2000")
            }
            try type("kill %1 %2; wait; exit 7\n", awaiting: "exit")
            #expect(eventually { world.processes.isEmpty || terminals.last?.status != nil }, "\(world.processes)")
            if shell.joined().contains("script") {
                let end = "COMMAND_EXIT_CODE=\"7\""
                #expect(eventually { text(world.path("typescript")).contains(end) })
                #expect(text(world.path("typescript")).contains("kept 42"))
            }
        }
    }

    // MARK: Images

    /// CRIU takes images in which `/dev/tty` names a terminal that the tree has by another name, too, for corrupted.
    @Test func theControllingTerminalNamesNoneInTheImages() throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: "ptys"), in: world)
            try world.requireDump(running.pid, to: "images")
            let directory = try ImageDirectory(opening: FilePath(world.path("images")))
            let terminals: [TtyInfoEntry] = try directory.messages(.ttyInfo)
            let sessions = Set(terminals.filter { $0.type == .pty && $0.sid != 0 }.map(\.sid))
            let controlling = terminals.filter { $0.type == .ctty && sessions.contains($0.sid) }
            #expect(!controlling.isEmpty, "\(terminals)")
            #expect(controlling.allSatisfy { !$0.hasPty }, "\(controlling)")
        }
    }

    // MARK: What cannot be

    /// Its shell has the same master open.
    @Test func aMasterThatAnotherHasToo() throws {
        try withWorld { world in
            let shell = try world.start(["sh", "-c", "exec 9<>/dev/ptmx; sleep 1000; true"], output: "out")
            try #require(eventually { world.processes.count == 2 })
            let pid = try #require(world.processes.first { $0 != shell })
            // It is the shell's copy for a moment.
            try #require(
                eventually { (try? world.command(["cat", "/proc/\(pid)/comm"]).run().output) == "sleep\n" })
            let dump = try world.dump(pid, to: "images")
            #expect(dump.status == 1 && dump.errors.contains("/dev/pts/0 is also open outside"), "\(dump)")
            #expect(dump.errors.contains("process \(shell)"), "\(dump)")
            #expect(world.isAlive(pid) && world.isAlive(shell))
        }
    }

    /// Somebody has logged in meanwhile. A name that the program remembers would be his terminal; hardly any program does.
    @Test func aNumberThatAnotherHasTaken() throws {
        try withWorld { world in
            let command = ["sh", "-c", "exec 9<>/dev/ptmx; exec sleep 1000"]
            let pid = try world.start(command, output: "out")
            try #require(eventually { exists("/proc/\(world.initial)/root/dev/pts/0") })
            try world.requireDump(pid, to: "images")
            let other = try world.start(command, output: "out")
            try #require(eventually { exists("/proc/\(world.initial)/root/dev/pts/0") })
            let refused = try world.restore("images", ["--exact-terminals"])
            #expect(refused.status == 1 && refused.errors.contains("/dev/pts/0"), "\(refused)")
            #expect(world.processes == [other])
            try world.requireRestore("images")
            #expect(world.log("images", "restore").contains("terminal /dev/pts/0 is now /dev/pts/1"))
            #expect(exists("/proc/\(world.initial)/root/dev/pts/1") && world.isAlive(pid))
            world.killAll()
            try world.requireRestore("images", ["--exact-terminals"])
            #expect(exists("/proc/\(world.initial)/root/dev/pts/0") && world.isAlive(pid))
        }
    }

    /// Shells with jobs in a multiplexer get other terminals, three times over, and notice nothing.
    @Test(.enabled(if: Programs.has("tmux", "bash"), "needs tmux"))
    func tmuxUnderOtherNumbers() throws {
        try withWorld { world in
            let tmux = Multiplexer(
                world: world, command: ["tmux", "-S", world.path("socket"), "-f", "/dev/null"])
            let shell = ["bash", "--norc", "--noprofile"]
            try tmux.run(["new-session", "-d", "-s", "s", "-x", "80", "-y", "24"] + shell)
            try tmux.run(["new-window", "-d", "-t", "s"] + shell)
            let pid = try #require(Int32(try tmux.run(["display", "-p", "#{pid}"]).dropLast()))
            func screen(_ window: Int) throws -> String { try tmux.run(["capture-pane", "-p", "-t", "s:\(window)"]) }
            for window in 0...1 { try tmux.expect("$", in: { try screen(window) }) }
            var taken: Set<Int> = []
            for round in 1...3 {
                let before = try (0...1).map(screen)
                try world.requireDump(pid, to: "images-\(round)")
                // The lowest that are free: at first those of the shells.
                let other = ["sh", "-c", "exec 9<>/dev/ptmx; exec sleep 1000"]
                for _ in 0...1 { _ = try world.start(other, output: "other") }
                try #require(
                    eventually {
                        let numbers = names(in: "/proc/\(world.initial)/root/dev/pts").compactMap { Int($0) }
                        taken = Set(numbers)
                        return numbers.count == 2 * round
                    })
                try world.requireRestore("images-\(round)")
                #expect(try (0...1).map(screen) == before, "round \(round)")
                var found: Set<Int> = []
                for window in 0...1 {
                    try tmux.run(["send-keys", "-t", "s:\(window)", "clear", "Enter"])
                    try tmux.run(["send-keys", "-t", "s:\(window)", "tty; cat", "Enter"])
                    try tmux.expect("/dev/pts/", in: { try screen(window) })
                    let number = try screen(window).split(separator: "/dev/pts/").last?.prefix { $0.isNumber }
                    found.insert(try #require(number.flatMap { Int($0) }))
                    try tmux.expect(
                        "cat", in: { try tmux.run(["display", "-p", "-t", "s:\(window)", "#{pane_current_command}"]) })
                    try tmux.run(["send-keys", "-t", "s:\(window)", "ping", "Enter"])
                    try tmux.expect("ping\nping", in: { try screen(window) })
                    // The terminal's own signals reach its foreground.
                    try tmux.run(["send-keys", "-t", "s:\(window)", "C-c"])
                    // With the signal the kernel throws away what was typed before the prompt.
                    try tmux.expect("^C\n$", in: { try screen(window) })
                    try tmux.run(["send-keys", "-t", "s:\(window)", "echo ended $?", "Enter"])
                    try tmux.expect("ended 130", in: { try screen(window) })
                }
                #expect(found.count == 2 && found.isDisjoint(with: taken), "\(found), \(taken)")
            }
            try tmux.run(["kill-server"])
        }
    }

    /// A program that leads its own session, in a terminal from outside: no job of another terminal, and what helps is said.
    @Test func aSessionThatBringsItselfAlong() throws {
        try withWorld { world in
            let program = ["bash", "-c", "echo ready; while true; do sleep 0.1; done"]
            let job = try world.job(program, output: "talk", leads: true)
            let pid = try #require(job.pid)
            try #require(eventually { text(world.path("talk")).contains("ready") })
            // Who is about to lose it hears of it before.
            let explained = try world.apus(["explain", "\(pid)", "--shell-job"])
            #expect(explained.output.contains("leads a session of its own on a terminal from outside"), "\(explained)")
            try world.requireDump(pid, to: "images", ["--shell-job"])
            let log = text(world.path("images/dump.log"))
            #expect(log.contains("from outside") && log.contains("--inherit-fd 'fd[N]:tty["), "\(log)")
            let restore = [Place.apus, "restore", "-D", world.path("images"), "--shell-job", "-o", "restore.log"]
            let other = try world.job(restore, output: "second", leads: true)
            func said() -> String {
                text(world.path("second")).split { " \r\n".contains($0) }.joined(separator: " ")
            }
            #expect(eventually { said().contains("]") })
            let key = try #require(
                said().firstMatch(of: /--inherit-fd fd\[N\]:(tty\[[0-9a-f]+:[0-9a-f]+\])/), "\(said())"
            ).1
            withExtendedLifetime(other) {}
            // That is so.
            let folder = world.path("images")
            let script = """
                import os, pty, subprocess
                master, slave = pty.openpty()
                given = 'fd[%d]:\(key)' % slave
                done = subprocess.run(['\(Place.apus)', 'restore', '-D', '\(folder)', '-d', '--inherit-fd', given], pass_fds=[slave])
                os.kill(\(pid), 0)
                raise SystemExit(done.returncode)
                """
            let restored = try world.command(["python3", "-c", script]).run()
            #expect(restored.status == 0, "\(restored)")
        }
    }
}

/// A program that has terminals and takes commands.
private struct Multiplexer {
    let world: World
    let command: [String]

    @discardableResult
    func run(_ arguments: [String]) throws -> String {
        let environment = ["env", "TERM=xterm", "LANG=C.UTF-8", "HOME=\(world.folder)", "PS1=$ "]
        let finished = try world.command(environment + command + arguments).run(seconds: 20)
        guard finished.status == 0 else { throw Failed("\(arguments): \(finished)") }
        return finished.output
    }

    func expect(_ words: String, in look: () throws -> String) throws {
        let isThere = eventually { (try? look().contains(words)) == true }
        try #require(isThere, "no \(words) in \((try? look()) ?? "nothing")")
    }
}
