import Glibc
import SystemPackage
import Testing

@testable import Compatibility

/// The program as a whole: exit statuses, what is printed where, the log file.
@Suite struct ProgramTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test(arguments: ["--version", "-V", "--vers", "dump -V", "-V dump -t nonsense"])
    func versionIsForClientsToRead(_ words: String) throws {
        let run = try Program.run(words, in: directory)
        #expect(run.status == 0)
        #expect(run.output.hasPrefix("Version: \(Version.apus)\n"))
        #expect(run.errors == "")
    }

    @Test func underTheNameOfCRIUItTellsCRIUsVersion() throws {
        let run = try Program.run("--version", name: "/usr/sbin/criu", in: directory)
        #expect(run.output.hasPrefix("Version: 4.2\n"))
        #expect(!run.output.contains("-"), "some clients take a dash for a version from Git")
        #expect(run.output.contains(Version.apus))
    }

    @Test func helpGoesToTheOutput() throws {
        for words in ["--help", "-h", "help", "dump --help", "help dump", "dump -jh", "--frobnicate -h"] {
            let run = try Program.run(words, in: directory)
            #expect(run.status == 0, "\(words)")
            #expect(run.output.contains("USAGE: apus"), "\(words)")
        }
        #expect(try Program.run("dump -h", in: directory).output.contains("--leave-running"))
    }

    @Test func helpUsesTheNameItWasCalledBy() throws {
        let help = try Program.run("dump --help", name: "criu", in: directory).output
        #expect(help.contains("USAGE: criu dump"))
    }

    @Test(arguments: [Verb.dump, .restore, .check, .show])
    func helpNamesWhatWorks(_ verb: Verb) throws {
        let help = try Program.run("\(verb.rawValue) --help", in: directory).output
        for option in CommandOption.all {
            let named = help.contains(try Regex("\(option.spelling)[ \\n]"))
            switch option.status {
            case .works, .among, .someOf, .only: #expect(named == option.verbs.covers(verb), "\(option.spelling)")
            case .neutral, .notBuilt: #expect(!named, "\(option.spelling)")
            }
        }
    }

    @Test func nothingSaidIsAMistake() throws {
        let run = try Program.run("", in: directory)
        #expect(run.status == 1)
        #expect(run.output.contains("USAGE"))
    }

    @Test(arguments: [
        "frobnicate", "dump", "dump --frobnicate", "dump -t", "dump -t abc", "dump -t 0", "dump -t -1",
        "dump -t 99999999 -R -s",
        "dump -t 99999999 --timeout -5", "dump --tcp", "pre-dump -t 99999999", "page-server", "swrk 3", "migrate",
        "dump -t 99999999 --track-mem",
        "restore --exec-cmd", "restore --restore-sibling", "restore --inherit-fd 3", "restore --external gizmo[1]",
        "dump -t 99999999 extra", "restore --status-fd x", "dump -t 99999999 --config /nowhere",
        "dump -t 99999999999999999999",
        "dump -t 99999999 -D /nowhere -o a.log",
    ])
    func mistakesEndWithOneAndAreNamed(_ words: String) throws {
        let run = try Program.run(words, in: directory)
        #expect(run.status == 1)
        #expect(run.output == "")
        #expect(run.errors.hasPrefix("error["))
        #expect(run.errors.contains("help: "))
    }

    @Test(arguments: [
        "dump -t abc", "dump --frobnicate", "dump", "pre-dump", "frobnicate", "dump -q -t 99999999", "dump --track-mem",
        "restore --exec-cmd", "-j",
    ])
    func logFileExistsAfterEveryRun(_ words: String) throws {
        let run = try Program.run(words + " -D \(directory.path.string) -o run.log -v0", in: directory)
        #expect(run.status == 1)
        #expect(directory.has("run.log"))
        // -v0 means no output; from -v1 on the log says what was wrong.
        #expect(try Program.text(of: directory.path.appending("run.log")) == "")
        _ = try Program.run(words + " -D \(directory.path.string) -o run.log -v1", in: directory)
        let log = try Program.text(of: directory.path.appending("run.log"))
        let lines = log.split(separator: "\n")
        #expect(lines.count >= 2)
        for line in lines { #expect(line.contains(#/^\([0-9]{2,}\.[0-9]{6}\) Error \([a-z-]+\): /#), "\(line)") }
    }

    @Test func logBeginsWithWhatWasRun() throws {
        _ = try Program.run("dump -t 0 -v3 -D \(directory.path.string) -o run.log", in: directory)
        let log = try Program.text(of: directory.path.appending("run.log"))
        #expect(log.contains(#/^\([0-9.]+\) Apus [0-9.]+ on Linux .*: apus dump -t 0 -v3/#))
    }

    @Test func logFileIsBelowTheWorkDirectory() throws {
        _ = unsafe mkdir(directory.path.appending("work").string, 0o700)
        _ = try Program.run("dump -W \(directory.path.string)/work -D /nowhere -o run.log", in: directory)
        #expect(directory.has("work/run.log"))
    }

    @Test func severalProblemsAreCounted() throws {
        let run = try Program.run("dump -q --frobnicate --track-mem", in: directory)
        #expect(run.errors.components(of: "error[") == 3)
        #expect(run.errors.hasSuffix("\n3 problems found\n"))
    }

    @Test func programsGetJSON() throws {
        let run = try Program.run("dump --json -q --tree 1 --track-mem", in: directory)
        #expect(run.status == 1)
        #expect(run.errors == "")
        #expect(run.output.hasPrefix("{\n  \"ok\": false,\n  \"verb\": \"dump\",\n  \"problems\": ["))
        #expect(run.output.contains("\"code\": \"unknown-option\""))
        #expect(run.output.contains("\"code\": \"option-not-built\""))
    }

    @Test func configurationIsRead() throws {
        try directory.write("frobnicate\n", to: "c.conf")
        let path = directory.path.appending("c.conf").string
        try directory.write("\n\ntimeout soon\n", to: "bad.conf")
        let bad = directory.path.appending("bad.conf").string
        let value = try Program.run("dump -t 99999999 --config=\(bad)", in: directory)
        #expect(value.errors.hasPrefix("error[invalid-value]: \(bad):3\n"))
        for run in [
            try Program.run("dump -t 99999999 --config=\(path)", in: directory),
            try Program.run("dump -t 99999999", in: directory, environment: ["CRIU_CONFIG_FILE=\(path)"]),
        ] {
            #expect(run.status == 1)
            #expect(run.errors.contains("\(path):1"))
        }
        _ = unsafe mkdir(directory.path.appending(".criu").string, 0o700)
        try directory.write("frobnicate\n", to: ".criu/default.conf")
        #expect(try Program.run("dump -t 0", in: directory).errors.contains(".criu/default.conf:1"))
        let without = try Program.run("dump -t 0 --no-default-config", in: directory)
        #expect(!without.errors.contains("default.conf"))
        // The version and the help are there for everybody, whatever a configuration file says.
        #expect(try Program.run("--version", in: directory).status == 0)
    }

    @Test func pathsAreBytes() throws {
        let odd = Array("\(directory.path.string)/".utf8) + [0xff, 0xfe]
        // unsafe: mkdir(2) and access(2) by arrays that end with a zero byte.
        #expect(unsafe mkdir((odd + [0]).map { CChar(bitPattern: $0) }, 0o700) == 0)
        _ = try Program.run(
            [Array("dump".utf8), Array("-D".utf8), odd, Array("-o".utf8), Array("run.log".utf8)], in: directory)
        let log = odd + Array("/run.log".utf8) + [0]
        #expect(unsafe access(log.map { CChar(bitPattern: $0) }, F_OK) == 0)
        let shown = try Program.run([Array("show".utf8), odd], in: directory)
        #expect(shown.errors.contains("inventory.img"), "the directory is there, but has no images")
    }

    @Test func coloursAreForTerminals() throws {
        for (environment, coloured) in [([], true), (["NO_COLOR=1"], false), (["TERM=dumb"], false)] {
            let words = ["-qec", "\(Program.path.string) frobnicate", "/dev/null"].map { Array($0.utf8) }
            let run = try Program.run(words, executable: "/usr/bin/script", in: directory, environment: environment)
            #expect(run.output.contains("unknown-verb"))
            #expect(run.output.contains("\u{1b}[") == coloured, "\(environment)")
        }
        #expect(try !Program.run("frobnicate", in: directory).errors.contains("\u{1b}"))
    }

    @Test(arguments: [("bash", "apus.bash"), ("zsh", "_apus"), ("fish", "apus.fish")])
    func completionsAreUpToDate(_ shell: String, _ file: String) throws {
        let run = try Program.run("--generate-completion-script \(shell)", in: directory)
        #expect(run.status == 0)
        let committed = try Program.text(of: Repository.root.appending("completions/\(file)"))
        #expect(run.output == committed, "run scripts/completions.sh")
    }
}

extension String {
    /// How often a text occurs.
    func components(of text: String) -> Int { ranges(of: text).count }
}
