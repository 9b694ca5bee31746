import Glibc
import Testing

/// One of the programs of Tests/Subjects: it sets state up, says `ready`, and checks itself at each SIGUSR1.
struct Subject: CustomTestStringConvertible {
    var name: String
    /// What it is given, `FOLDER` standing for the folder of the world.
    var arguments: [String] = []
    /// With what it has to be dumped and restored.
    var options: [String] = []
    /// It runs as the foreground job of a terminal.
    var terminal = false
    /// Its checks end children and start new ones.
    var renewsChildren = false

    var testDescription: String { name }

    /// All that a dump and a restore have to carry. A new kind of state gets its line here. On older kernels Apus cannot
    /// come near a process whose first thread has ended, or one whose system calls are dispatched to itself. Not every processor
    /// has tile registers.
    static let all = chosen(
        wide.filter {
            ($0.name != "leaderless" || Place.hasThreadDescriptors) && ($0.name != "dispatch" || Place.showsDispatch)
                && ($0.name != "tiles" || text("/proc/cpuinfo").contains(" amx_tile "))
                && ($0.name != "bpfmaps" || exists("/proc/sys/kernel/unprivileged_bpf_disabled"))
        } + compat)

    /// Only those that APUS_TEST_SUBJECTS names, where it is set: with spaces or commas between them. A name that
    /// is none ends the run: nothing would be tested, and that would look like success.
    private static func chosen(_ subjects: [Subject]) -> [Subject] {
        guard let given = unsafe getenv("APUS_TEST_SUBJECTS") else { return subjects }
        let names = unsafe String(cString: given).split { " ,".contains($0) }.map(String.init)
        let unknown = names.filter { name in !subjects.contains { $0.name == name } }
        precondition(unknown.isEmpty, "APUS_TEST_SUBJECTS names no subjects: \(unknown)")
        return subjects.filter { names.contains($0.name) }
    }

    /// Of subjects that are listed elsewhere, those that APUS_TEST_SUBJECTS names; all where it is not set.
    static func ofThoseChosen(_ subjects: [Subject]) -> [Subject] {
        guard unsafe getenv("APUS_TEST_SUBJECTS") != nil else { return subjects }
        return subjects.filter { subject in all.contains { $0.name == subject.name } }
    }

    /// The same for 32-bit programs, where the compiler could make some and the kernel runs them.
    static let compat: [Subject] = {
        let names = ["compat", "counter", "pipes", "tree", "timers", "waits"].map { $0 + "-32" }
        guard exists(Place.subject(names[0])), (try? Command([Place.subject("counter-32"), "quit"]).start()) != nil
        else { return [] }
        return names.map { Subject(name: $0, renewsChildren: $0 == "waits-32") }
    }()

    /// How many nodes with memory the host has: as many as it numbers, from 0 (numa(7)).
    private static let nodes: Int = {
        let listed = text("/sys/devices/system/node/has_memory").split { !$0.isNumber }
        return (listed.last.flatMap { Int($0) } ?? 0) + 1
    }()

    private static let wide = [
        Subject(name: "counter"),
        Subject(name: "registers"),
        Subject(name: "memory", arguments: ["FOLDER/mapped"]),
        Subject(name: "ballast", arguments: ["40"]),
        Subject(name: "family-memory", arguments: ["2", "6"]),
        Subject(name: "signals"),
        Subject(name: "tree"),
        Subject(name: "daemons"),
        Subject(name: "zombies"),
        Subject(name: "stops"),
        Subject(name: "sharing"),
        Subject(name: "sharedvm"),
        Subject(name: "pipes"),
        Subject(name: "files", arguments: ["FOLDER/files"]),
        Subject(name: "unixsockets", arguments: ["FOLDER/sockets"]),
        Subject(name: "unaccepted"),
        Subject(name: "peers", arguments: ["FOLDER/peers"]),
        Subject(name: "sockets"),
        Subject(name: "pidfds"),
        Subject(name: "datagrams"),
        Subject(name: "packetrings"),
        Subject(name: "corked"),
        Subject(name: "tcp", options: ["--tcp-established"]),
        Subject(name: "backlog", options: ["--tcp-established"]),
        Subject(name: "tcpbound", options: ["--tcp-established"]),
        Subject(name: "fifos", arguments: ["FOLDER/fifos"]),
        Subject(name: "locks", arguments: ["FOLDER/locks"], options: ["--file-locks"]),
        Subject(name: "leases", arguments: ["FOLDER/leases"], options: ["--file-locks"]),
        Subject(name: "lockwaits", arguments: ["FOLDER/lockwaits"], options: ["--file-locks"]),
        Subject(name: "devices"),
        Subject(name: "deleted", arguments: ["FOLDER"]),
        Subject(name: "nameless", arguments: ["FOLDER"], options: ["--link-remap"]),
        Subject(name: "openfiles", arguments: ["FOLDER"]),
        Subject(name: "plenty", arguments: ["FOLDER", "80", "20", "3"]),
        Subject(name: "packets", arguments: ["FOLDER"]),
        Subject(name: "segments"),
        Subject(name: "sysv", renewsChildren: true),
        Subject(name: "posixipc"),
        Subject(name: "queuewatch"),
        Subject(name: "bpfmaps"),
        Subject(name: "aio"),
        Subject(name: "uring"),
        Subject(name: "numa", arguments: ["\(nodes)"]),
        Subject(name: "pkeys"),
        Subject(name: "tiles"),
        Subject(name: "mappings", arguments: ["FOLDER/mapped"]),
        Subject(name: "attributes", arguments: ["FOLDER/directory", "an argument that it changes"]),
        Subject(name: "settings"),
        Subject(name: "credentials"),
        Subject(name: "threads"),
        Subject(name: "endings", renewsChildren: true),
        Subject(name: "crowd", arguments: ["300"]),
        Subject(name: "leaderless"),
        Subject(name: "rseq"),
        Subject(name: "timers"),
        Subject(name: "events", arguments: ["FOLDER/watched"]),
        Subject(name: "fanotify", arguments: ["FOLDER/notified"]),
        Subject(name: "clocks"),
        Subject(name: "seccomp"),
        Subject(name: "dispatch"),
        Subject(name: "waits", renewsChildren: true),
        Subject(name: "terminal", terminal: true),
        Subject(name: "ptys"),
    ]

    /// A few of them, for what would take too long with all.
    static let few = all.filter { ["counter", "memory", "pipes", "threads"].contains($0.name) }
}

/// A subject that runs in a world.
struct RunningSubject {
    let subject: Subject
    let world: World
    let pid: Int32
    private let output: String
    private let job: Job?
    /// The world in whose folder its files are.
    private let folder: World

    /// Starts it and waits until it is ready.
    init(_ subject: Subject, in world: World) throws {
        self.subject = subject
        self.world = world
        folder = world
        output = "\(subject.name).out"
        let path = world.path(output)
        let arguments =
            [Place.subject(subject.name)] + subject.arguments.map { $0.replacing("FOLDER", with: world.folder) }
        let environment = ["SUBJECT_OF": "a test"]
        if subject.terminal {
            let job = try world.job(arguments, output: output, environment: environment)
            self.job = job
            pid = job.pid ?? 0
        } else {
            job = nil
            pid = try world.start(arguments, output: output, environment: environment)
        }
        guard eventually({ lines(path).contains("ready") }) else {
            throw Failed("\(subject.name) does not get ready: \(text(path))")
        }
        usleep(Self.settling)
    }

    /// The same, which has moved to another world.
    ///
    /// - Parameter pid: that it has there.
    init(_ running: RunningSubject, in world: World, as pid: Int32? = nil) {
        (subject, job, output) = (running.subject, running.job, running.output)
        self.pid = pid ?? running.pid
        self.world = world
        folder = running.folder
    }

    var dumpOptions: [String] { subject.options + (subject.terminal ? ["--shell-job"] : []) }

    /// Lets it check itself: what it finds wrong, nothing when it is content.
    func check() -> [String] {
        let path = folder.path(output)
        let before = lines(path)
        let rounds = Self.verdicts(before)
        guard world.signal(Signal.check, pid) else { return ["pid \(pid) does not exist"] }
        guard eventually(seconds: 20, { Self.verdicts(lines(path)) > rounds }) else {
            return ["no answer to SIGUSR1"] + lines(path).dropFirst(before.count)
        }
        usleep(Self.settling)
        // Whatever a child found wrong without being asked counts as well.
        let said = lines(path).dropFirst(before.lastIndex { $0 == "OK" || $0 == "BAD" } ?? 0)
        let failures = said.filter { $0.hasPrefix("FAIL") }
        return said.last == "OK" || !failures.isEmpty ? failures : Array(said)
    }

    /// What is different from an earlier look, once the tree has had the time to get back into its waits.
    func changes(since before: ProcessSnapshot, but expected: (String) -> Bool = { _ in false }) -> [String] {
        var differences: [String] = []
        _ = eventually(seconds: 2) {
            differences = before.differences(to: look).filter { !expected($0) }
            return differences.isEmpty
        }
        return differences.count <= 16 ? differences : differences.prefix(16) + ["and \(differences.count - 16) more"]
    }

    /// What is seen twice in a row: one look may meet a thread within a function of the C library that blocks all signals.
    var snapshot: ProcessSnapshot {
        var seen = look
        _ = eventually(seconds: 1) {
            let next = look
            let isSteady = seen.differences(to: next).isEmpty
            seen = next
            return isSteady
        }
        return seen
    }

    private var look: ProcessSnapshot { ProcessSnapshot(of: world, root: pid, terminal: subject.terminal) }

    /// In microseconds: what was said is in the file a moment before the position of the output has moved on.
    private static let settling = UInt32(5_000 * Place.patience)

    private static func verdicts(_ lines: [String]) -> Int { lines.count { $0 == "OK" || $0 == "BAD" } }
}

private enum Signal {
    /// SIGUSR1: check yourself.
    static let check: Int32 = 10
}
