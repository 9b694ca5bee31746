import Compatibility
import Diagnostics
import Foundation
import Images
import Linux
import SystemPackage

/// The files of `/proc`.
struct ProcTextTarget: Target {
    static let name = "proc"

    private typealias Parser = (name: String, parse: @Sendable ([UInt8]) throws -> Void)

    private static let parsers: [Parser] = [
        ("stat", { _ = try TaskStat(parsing: $0) }), ("status", { _ = try TaskStatus(parsing: $0) }),
        ("maps", { _ = try MappedArea.parse(maps: $0) }), ("smaps", { _ = try MappedArea.parse(smaps: $0) }),
        ("limits", { _ = try Processes.Limit.parse($0) }), ("mountinfo", { _ = try MountInfo.parse($0) }),
        ("timers", { _ = try PosixTimer.parse($0) }), ("syscall", { _ = try BlockedCall(parsing: $0) }),
        ("cgroup", { _ = try ControlGroup.parse($0) }), ("fdinfo", { _ = try DescriptorInfo(parsing: $0) }),
        ("sched", { _ = try SchedulerRecord(parsing: $0) }), ("ns", { _ = try NamespaceLink(parsing: $0) }),
        ("shm", { _ = try SharedSegment.parse($0) }),
    ]

    private static let written: [String: [String]] = [
        "fdinfo": [
            "pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t7\nlock:\t1: POSIX  ADVISORY  WRITE 1 fe:00:1 10 109\n",
            "pos:\t0\nflags:\t02\ntfd:       5 events:       19 data:                5 pos:0 ino:61 sdev:d\n",
            "pos:\t0\nflags:\t00\ninotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8"
                + " fhandle-type:1 f_handle:7e9e0000640d1b6d\n",
            "pos:\t0\nflags:\t02004002\nclockid: 0\nticks: 0\nsettime flags: 01\nit_value: (0, 49406829)\n"
                + "it_interval: (1, 0)\n",
            "pos:\t0\nflags:\t02\neventfd-count:               5a\neventfd-id: 3\neventfd-semaphore: 1\n",
            "pos:\t0\nflags:\t02\nsigmask:\t0000000000000006\n",
        ],
        "ns": ["mnt:[4026531840]", "time:[4026531834]"],
        "syscall": ["running\n", "0 0x3 0x7ffe 0x400 0x0 0x0 0x0 0x7ffe1 0x7f3c\n", "-1 0x7ffe 0x7f3c\n"],
        "timers": ["ID: 0\nsignal: 60/00007fff86e452a8\nnotify: signal/pid.2634\nClockID: 0\n"],
        "shm": [
            "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime"
                + "      dtime      ctime                   rss                  swap\n"
                + "        42          3   600                  4096    17    17      1     0     0     0     0 1700000000"
                + "          0 1700000000                  4096                     0\n"
        ],
    ]

    /// By parser.
    private var texts: [[[UInt8]]] = []
    private var chosen = 0

    init(_ corpus: Corpus) throws {
        for parser in Self.parsers {
            var found = (Self.written[parser.name] ?? []).map { Array($0.utf8) }
            // Never of this host: what a seed stands for must not change.
            for task in ["4711", "4711/task/4711"] {
                let path = "\(corpus.project)/Tests/Fixtures/proc/\(task)/\(parser.name)"
                if let data = FileManager.default.contents(atPath: path) { found.append(Array(data)) }
            }
            texts.append(found.isEmpty ? [Array("a 1 2 3\n".utf8)] : found)
        }
    }

    mutating func make(_ random: inout Random) -> Input {
        chosen = random.below(texts.count)
        let text = random.pick(texts[chosen])
        let bytes = TextMutation.damage(text, with: random.pick(random.pick(texts)), &random)
        return Input(files: [(Self.parsers[chosen].name, bytes)], size: bytes.count)
    }

    func run(_ input: Input, _ random: inout Random) throws {
        do {
            try Self.parsers[chosen].parse(input.files[0].bytes)
        } catch let error as ProcfsError {
            _ = error.description
        }
    }
}

/// Configuration files.
struct ConfigurationTarget: Target {
    static let name = "configuration"

    private let path: String
    private static let texts = [
        "tcp-established\nwork-dir \"/srv/my \\\"work\\\" directory\"   # a comment\nno-leave-running\n",
        "# a comment\nleave-running\nlog-file from-the-file.log # another\nverbosity 4\nexternal pipe:[17]\n",
        "tree 17\nimages-dir=/tmp\nghost-limit 1G\next-unix-sk\ninherit-fd \"fd[3]:tmp/a\"\n",
    ].map { Array($0.utf8) }

    init(_ corpus: Corpus) { path = corpus.scratch + "/configuration" }

    func make(_ random: inout Random) -> Input {
        let bytes = TextMutation.damage(random.pick(Self.texts), with: random.pick(Self.texts), &random)
        return Input(files: [("configuration", bytes)], size: bytes.count)
    }

    func run(_ input: Input, _ random: inout Random) throws {
        try Data(input.files[0].bytes).write(to: URL(fileURLWithPath: path))
        let verb = random.pick(["dump", "restore", "check", "explain", "show"])
        CommandLineTarget.understand([verb, "--no-default-config", "--config", path].map { Array($0.utf8) })
    }
}

/// Command lines: each argument a line of the file.
struct CommandLineTarget: Target {
    static let name = "command-line"

    init(_ corpus: Corpus) {}

    func make(_ random: inout Random) -> Input {
        var words: [[UInt8]] = [Array("--no-default-config".utf8)]
        for _ in 0...random.below(9) { words.append(word(&random)) }
        // An argument is a C string.
        let bytes = Array(words.map { $0.filter { $0 != 0 && $0 != 10 } }.joined(separator: [10]))
        return Input(files: [("arguments", bytes)], size: bytes.count)
    }

    private func word(_ random: inout Random) -> [UInt8] {
        let option = random.pick(CommandOption.all)
        let values = [
            "17", "-1", "0", "/tmp/a", "fd[3]:pipe:[17]", "file[1f:3c]", "unix[5]", "pipe[]", "tty[1:2]:x", "1G",
            "99999999999G",
            "", "=", "new-namespace", "ignore", "apparmor:x", "\u{1F426}", "fd[4]:/", "]:[", "fd[]:", "[", "]",
        ]
        let text =
            switch random.below(9) {
            case 0: "--\(option.long)"
            case 1: "--\(option.long)=\(random.pick(values))"
            case 2: "--no-\(option.long)"
            case 3: "--" + option.long.prefix(1 + random.below(option.long.count))
            case 4: "-" + (0...random.below(5)).map { _ in String(random.pick(Array("jdRsSlxtDWovhV4="))) }.joined()
            case 5: random.pick(Verb.allCases).rawValue
            case 6: random.pick(["--", "-", "---", "--=", "-=", "--no-", "-v4v", "--verbosity=", "-vvvvvvvv"])
            default: random.pick(values)
            }
        let bytes = Array(text.utf8)
        return random.one(in: 4) ? Mutation.damage(bytes, with: bytes, &random) : bytes
    }

    func run(_ input: Input, _ random: inout Random) throws {
        Self.understand(input.files[0].bytes.split(separator: 10, omittingEmptySubsequences: false).map(Array.init))
    }

    /// All that a verb asks of its invocation.
    static func understand(_ arguments: [[UInt8]]) {
        let invocation = Invocation(arguments, configuration: .host())
        _ = (invocation.normalForm, invocation.problems.map { $0.rendered() }, invocation.notes)
        var reader = OptionReader(invocation)
        for option in invocation.options.map(\.option) {
            _ = reader.path(option.long)
            _ = reader.size(option.long)
            _ = reader.number(option.long, in: 0...Int32.max, expected: "a number")
            for value in reader.values(option.long) {
                _ = ExternalResource.problems([value])
                _ = ExternalResource.canonical(String(decoding: value, as: UTF8.self))
                _ = InheritedDescriptor.parse(value)
            }
        }
        _ = reader.problems.map { $0.rendered(TextStyle(coloured: true, columns: 40)) }
    }
}

/// JSON, as manifests and supplements are written in.
struct JSONTarget: Target {
    static let name = "json"

    private let texts: [[UInt8]]

    init(_ corpus: Corpus) throws {
        var texts = [
            #"{"version": 1, "eventfd": {"3": {"semaphore": true}}, "sleep": {"7": {"left": 18446744073709551615}}}"#,
            #"{"a": [1, -2.5e3, "\u00e4\n", null, true], "b": {"c": {}}}"#,
        ].map { Array($0.utf8) }
        for place in corpus.images {
            for name in try FileManager.default.contentsOfDirectory(atPath: place).sorted() {
                for file in ["manifest.json", "supplement.json"] {
                    if let data = FileManager.default.contents(atPath: "\(place)/\(name)/\(file)") {
                        texts.append(Array(data))
                    }
                }
            }
        }
        self.texts = texts
    }

    func make(_ random: inout Random) -> Input {
        let bytes = TextMutation.damage(random.pick(texts), with: random.pick(texts), &random)
        return Input(files: [("text.json", bytes)], size: bytes.count)
    }

    func run(_ input: Input, _ random: inout Random) throws {
        guard let json = JSON(parsing: input.files[0].bytes) else { return }
        _ = (MemoryPolicy(json), MemoryTraits(json), json.text(indented: true))
        // What is written is read as the same.
        let text = json.text()
        guard let again = JSON(parsing: Array(text.utf8)), again.text() == text else {
            throw Violation("JSON is not read as it was written: \(text.prefix(200))")
        }
    }
}
