import Diagnostics
import SystemPackage
import Testing

@testable import Compatibility

/// One command line and the normal form that it must become.
struct NormalFormCase: CustomTestStringConvertible, Sendable {
    var written: [String]
    var expected: [String]
    init(_ written: String, _ expected: String) {
        self.written = written.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        self.expected = expected.split(separator: " ").map(String.init)
    }
    var testDescription: String { written.joined(separator: " ") }
}

func invocation(_ words: [String], configuration: ConfigurationSources = .init()) -> Invocation {
    Invocation(words.map { Array($0.utf8) }, configuration: configuration)
}

@Suite struct InvocationTests {
    static let normalForms: [NormalFormCase] = [
        .init("dump", "dump --verbosity=2"),
        .init("dump -t 12", "dump --verbosity=2 --tree=12"),
        .init("dump -t12", "dump --verbosity=2 --tree=12"),
        .init("dump --tree 12", "dump --verbosity=2 --tree=12"),
        .init("dump --tree=12", "dump --verbosity=2 --tree=12"),
        .init("dump --tre 12", "dump --verbosity=2 --tree=12"),
        .init("dump --tre=12", "dump --verbosity=2 --tree=12"),
        // The verb may stand anywhere.
        .init("-t 12 dump -j", "dump --verbosity=2 --tree=12 --shell-job"),
        .init("-t 12 -j dump", "dump --verbosity=2 --tree=12 --shell-job"),
        // Bundles, the last letter with its value attached or following.
        .init("restore -jd", "restore --verbosity=2 --shell-job --restore-detached"),
        .init("restore -jdD/img", "restore --verbosity=2 --shell-job --restore-detached --images-dir=/img"),
        .init("restore -jdD /img", "restore --verbosity=2 --shell-job --restore-detached --images-dir=/img"),
        .init("dump -tR", "dump --verbosity=2 --tree=R"),
        .init("dump -D -x", "dump --verbosity=2 --images-dir=-x"),
        .init("dump -D -- -j", "dump --verbosity=2 --images-dir=-- --shell-job"),
        .init("dump -D=/img", "dump --verbosity=2 --images-dir==/img"),
        .init("dump --images-dir=a=b", "dump --verbosity=2 --images-dir=a=b"),
        .init("dump --images-dir=", "dump --verbosity=2 --images-dir="),
        .init("dump -x", "dump --verbosity=2 --ext-unix-sk"),
        // Levels.
        .init("dump -v", "dump --verbosity=3"),
        .init("dump -vv", "dump --verbosity=4"),
        .init("dump -v -v", "dump --verbosity=4"),
        .init("dump -vvvv", "dump --verbosity=4"),
        .init("dump -vvvvvvvvv", "dump --verbosity=4"),
        .init("dump -v0", "dump --verbosity=0"),
        .init("dump -v1", "dump --verbosity=1"),
        .init("dump -v4", "dump --verbosity=4"),
        .init("dump -v99", "dump --verbosity=4"),
        .init("dump -v4 -v1", "dump --verbosity=1"),
        .init("dump -v0 -v", "dump --verbosity=1"),
        .init("dump --verbosity=0", "dump --verbosity=0"),
        .init("dump -verbosity=0", "dump --verbosity=0"),
        .init("dump -verbosity=4", "dump --verbosity=4"),
        .init("dump --verbosity", "dump --verbosity=3"),
        .init("dump --verb=1", "dump --verbosity=1"),
        .init("dump -jv4R", "dump --verbosity=4 --shell-job --leave-running"),
        .init("dump -vvj", "dump --verbosity=4 --shell-job"),
        // Repetition and negation.
        .init("dump -t 1 -t 2", "dump --verbosity=2 --tree=2"),
        .init("dump -j -j", "dump --verbosity=2 --shell-job"),
        .init("dump -R --no-leave-running", "dump --verbosity=2"),
        .init("dump --no-leave-running -R", "dump --verbosity=2 --leave-running"),
        .init("dump -R --no-leave-r", "dump --verbosity=2"),
        .init(
            "dump --external file[1:2] --external=tty[3:4]",
            "dump --verbosity=2 --external=file[1:2] --external=tty[3:4]"),
        .init(
            "restore --inherit-fd fd[3]:a --inherit-fd fd[4]:b",
            "restore --verbosity=2 --inherit-fd=fd[3]:a --inherit-fd=fd[4]:b"),
        .init("restore --timeout 5", "restore --verbosity=2"),
        // An exact name is no abbreviation of a longer one.
        .init("check --all", "check --verbosity=2 --all"),
        .init("check --feature a --feature b", "check --verbosity=2 --feature=a --feature=b"),
        // Without effect here, and so not passed on.
        .init("restore -t 12 -d", "restore --verbosity=2 --restore-detached"),
        .init("restore --track-mem", "restore --verbosity=2"),
        .init("dump --manage-cgroups=ignore", "dump --verbosity=2"),
        .init("dump --network-lock skip", "dump --verbosity=2"),
        .init("dump --weak-sysctls --mntns-compat-mode", "dump --verbosity=2"),
        // Operands.
        .init("show /img", "show --verbosity=2 -- /img"),
        .init("show -- -img", "show --verbosity=2 -- -img"),
        .init("restore --exec-cmd -- sh -c x", "restore --verbosity=2 --exec-cmd -- sh -c x"),
        .init("restore --exec-cmd -d -- restore", "restore --verbosity=2 --exec-cmd --restore-detached -- restore"),
        .init("restore --exec-cmd sh", "restore --verbosity=2 --exec-cmd -- sh"),
        .init("restore --exec-cmd -- -- x", "restore --verbosity=2 --exec-cmd -- -- x"),
        // Our own options never spoil an abbreviation of CRIU's: --j alone is join-ns there.
        .init("dump --js", "dump --verbosity=2 --json"),
    ]

    @Test(arguments: normalForms)
    func becomesNormalForm(_ example: NormalFormCase) {
        let result = invocation(example.written)
        #expect(result.problems == [])
        #expect(result.normalForm == example.expected)
    }

    static let mistakes: [(String, [Problem.Code])] = [
        ("dump --frobnicate", [.unknownOption]),
        ("dump -q", [.unknownOption]),
        ("dump -jq", [.unknownOption]),
        ("dump --tcp", [.ambiguousOption]),
        ("dump --leave", [.ambiguousOption]),
        ("dump --no-leave", [.ambiguousOption]),
        ("dump --=x", [.unknownOption]),
        ("dump -t", [.missingValue]),
        ("dump --tree", [.missingValue]),
        ("dump --shell-job=yes", [.unexpectedValue]),
        ("dump --no-tree 5", [.unknownOption, .unexpectedArgument]),
        ("dump --verbosity=high", [.invalidValue]), ("restore --cpu-cap", []), ("restore --cpu-cap=cpu,ins", []),
        ("restore --cpu-cap=cpu,gpu", [.invalidValue]), ("restore --cpu-cap=cpu,", [.invalidValue]),
        ("dump --verbosity=-1", [.invalidValue]),
        ("dump --verbosity 4", [.unexpectedArgument]),
        ("--verbosity 4 dump", [.unexpectedArgument]),
        ("dump 17", [.unexpectedArgument]),
        ("dump -- 17", [.unexpectedArgument]),
        ("duMp", [.unknownVerb]),
        ("-j", [.missingVerb]),
        ("pre-dump -t 5", [.verbNotBuilt]),
        ("swrk 3", [.verbNotBuilt]),
        ("dump --dry-run -t 1", [.misplacedOption]),
        ("dump --keep-original -t 1", [.misplacedOption]),
        ("migrate --leave-running 1 host", [.misplacedOption]),
        ("restore --detach", [.misplacedOption]),
        ("explain --ship auto 1", [.misplacedOption]),
        ("dump --manage-cgroups", [.optionNotBuilt]),
        ("restore --pid-policy foo", [.invalidValue]),
        ("run --cpu-level v3 -- true", [.invalidValue]),
        ("dump -t 1 --network-lock nft", [.invalidValue]),
        ("dump --manage-cgroups=soft", [.optionNotBuilt]),
        ("dump --track-mem --stream --libdir /x", [.optionNotBuilt, .optionNotBuilt, .optionNotBuilt]),
        ("dump --frobnicate -q --tree", [.unknownOption, .unknownOption, .missingValue]),
    ]

    @Test(arguments: mistakes)
    func namesMistakes(_ written: String, _ codes: [Problem.Code]) {
        let result = invocation(written.split(separator: " ", omittingEmptySubsequences: false).map(String.init))
        #expect(result.problems.map(\.code) == codes)
    }

    @Test func ambiguityListsCandidates() throws {
        let problem = try #require(invocation(["dump", "--tcp"]).problems.first)
        #expect(problem.summary.contains("--tcp-established, --tcp-close"))
    }

    /// What was meant is said, where it can be guessed.
    @Test(arguments: [
        ("run sleep 1", ["apus run -- sleep 1"]), ("dump 17", ["apus dump -t 17"]), ("dump -t 17 18", ["Remove it"]),
        ("dump -t 17 -- 18", ["Remove it"]), ("restore a b", ["--exec-cmd", "--exec-cmd"]),
    ])
    func strayArguments(_ written: String, _ remedies: [String]) {
        let problems = invocation(written.split(separator: " ").map(String.init)).problems
        #expect(problems.map(\.code) == remedies.map { _ in .unexpectedArgument })
        for (problem, remedy) in zip(problems, remedies) { #expect(problem.remedy.contains(remedy), "\(problem)") }
    }

    @Test func typingErrorGetsSuggestion() throws {
        let problem = try #require(invocation(["dump", "--shel-job"]).problems.first)
        #expect(problem.remedy.contains("--shell-job"))
        let verb = try #require(invocation(["restor"]).problems.first)
        #expect(verb.remedy.contains("restore"))
    }

    @Test func everyOptionNotBuiltIsRefusedByName() {
        for option in CommandOption.all where option.status == .notBuilt {
            guard let verb = [Verb.dump, .restore, .check].first(where: option.verbs.covers) else { continue }
            let word = option.argument == .none ? option.spelling : option.spelling + "=1"
            let result = invocation([verb.rawValue, word])
            #expect(result.problems.map(\.code) == [.optionNotBuilt], "\(option.long)")
            #expect(result.problems.first?.summary.contains(option.spelling) == true, "\(option.long)")
        }
    }

    @Test func optionWithoutEffectIsNoted() {
        let result = invocation(["restore", "--leave-running", "--mntns-compat-mode"])
        #expect(result.notes.count == 2)
        #expect(result.notes.first?.contains("--leave-running") == true)
    }

    @Test func mistakesLeaveTheRestUnderstood() {
        let result = invocation(["dump", "--frobnicate", "-o", "a.log", "-W", "/work"])
        #expect(LogFile.path(for: result) == "/work/a.log")
        #expect(LogFile.path(for: invocation(["pre-dump", "-o", "a.log", "-D", "/images"])) == "/images/a.log")
        #expect(LogFile.path(for: invocation(["dump", "-o", "/a.log", "-D", "/images"])) == "/a.log")
        #expect(LogFile.path(for: invocation(["dump", "-D", "/images"])) == nil)
    }

    @Test func bytesSurvive() {
        let path: [UInt8] = [0x2f, 0xff, 0x61, 0xc3, 0xa4, 0xef, 0x9c, 0x81, 0xed, 0xa0, 0x80]
        let result = Invocation([Array("dump".utf8), Array("-D".utf8), path], configuration: .init())
        #expect(result.value(of: "images-dir") == path)
        #expect(RawArgument.bytes(RawArgument.text(path)) == path)
        // The characters that carry odd bytes come back as themselves too.
        #expect(RawArgument.bytes(RawArgument.text(Array("a\u{F7FF}b".utf8))) == Array("a\u{F7FF}b".utf8))
        for byte in UInt8.min...UInt8.max { #expect(RawArgument.bytes(RawArgument.text([byte])) == [byte]) }
    }

    /// Whatever is thrown at it, the scanner ends, and says of each mistake what to do.
    @Test func survivesAnything() {
        var generator = SystemRandomNumberGenerator()
        let pieces =
            CommandOption.all.map(\.spelling) + Verb.allCases.map(\.rawValue)
            + ["-", "--", "-v", "-vvx", "=", "--=", "--no-", "--no", "-tD", "", "ä", "1", "[", "--json="]
        for _ in 0..<3000 {
            let words = (0..<Int.random(in: 0...6, using: &generator)).map { _ -> [UInt8] in
                let odd = (0..<Int.random(in: 0...8)).map { _ in UInt8.random(in: 1...255) }
                return Bool.random() ? Array((pieces.randomElement() ?? "").utf8) : odd
            }
            let result = Invocation(words, configuration: .init())
            for problem in result.problems { #expect(!problem.remedy.isEmpty, "\(words)") }
            for word in result.normalForm { #expect(RawArgument.text(RawArgument.bytes(word)) == word) }
        }
    }

    @Test func tableIsConsistent() {
        let names = CommandOption.all.map(\.long)
        #expect(Set(names).count == names.count)
        let shorts = CommandOption.all.compactMap(\.short)
        #expect(Set(shorts).count == shorts.count)
        #expect(CommandOption.all.count > 80)
    }
}
