import Diagnostics
import SystemPackage
import Testing

@testable import Compatibility

/// Configuration files that exist only in the test.
private func sources(
    _ files: [FilePath: String], defaults: [FilePath] = [], environment: FilePath? = nil
) -> ConfigurationSources {
    ConfigurationSources(defaults: defaults, environment: environment) { path in
        files[path].map { .success(Array($0.utf8)) } ?? .failure(.noSuchFileOrDirectory)
    }
}

private func normalForm(of text: String, _ words: [String] = ["dump"]) -> [String] {
    let result = invocation(words, configuration: sources(["/c": text], defaults: ["/c"]))
    #expect(result.problems == [])
    return Array(result.normalForm.dropFirst(2))
}

@Suite struct ConfigurationTests {
    static let lines: [(String, [String])] = [
        ("", []),
        ("\n\n  \n# nothing\n", []),
        ("shell-job", ["--shell-job"]),
        ("  shell-job\t# a comment", ["--shell-job"]),
        ("--shell-job", ["--shell-job"]),
        ("tree 12", ["--tree=12"]),
        ("tree \t 12\r", ["--tree=12"]),
        ("tree=12", ["--tree=12"]),
        ("images-dir /a#b", ["--images-dir=/a#b"]),
        ("images-dir \"/a # b\"", ["--images-dir=/a # b"]),
        ("images-dir \"/my \\\"own\\\" dir\"", ["--images-dir=/my \"own\" dir"]),
        ("images-dir \"/a\\\\b\\n\"", ["--images-dir=/a\\b\\n"]),
        ("images-dir \"\"", ["--images-dir="]),
        ("leave-running\nno-leave-running", []),
        ("external file[1:2]\nexternal file[3:4]", ["--external=file[1:2]", "--external=file[3:4]"]),
        ("manage-cgroups ignore", []),
        ("feature x", []),
    ]

    @Test(arguments: lines)
    func readsLines(_ text: String, _ expected: [String]) {
        #expect(normalForm(of: text) == expected)
    }

    @Test func verbosityComesFromAFile() {
        let configuration = sources(["/c": "verbosity 4"], defaults: ["/c"])
        #expect(invocation(["dump"], configuration: configuration).verbosity == 4)
        #expect(invocation(["dump", "-v1"], configuration: configuration).verbosity == 1)
    }

    @Test func laterSourcesWin() {
        let files: [FilePath: String] = [
            "/system": "tree 1\nimages-dir /1\nwork-dir /1\nlog-file 1\ntimeout 1",
            "/user": "images-dir /2\nwork-dir /2\nlog-file 2\ntimeout 2",
            "/environment": "work-dir /3\nlog-file 3\ntimeout 3",
            "/chosen": "log-file 4\ntimeout 4",
        ]
        let configuration = sources(files, defaults: ["/system", "/user"], environment: "/environment")
        let result = invocation(["dump", "--timeout", "5", "--config=/chosen"], configuration: configuration)
        let form = ["tree=1", "images-dir=/2", "work-dir=/3", "log-file=4", "timeout=5"].map { "--" + $0 }
        #expect(result.normalForm.dropFirst(2).sorted() == form.sorted())
    }

    @Test func commandLineTakesBackFlags() {
        #expect(normalForm(of: "leave-running", ["dump", "--no-leave-running"]) == [])
    }

    @Test func defaultFilesCanBeLeftOut() {
        let configuration = sources(["/c": "leave-running", "/e": "shell-job"], defaults: ["/c"], environment: "/e")
        let result = invocation(["dump", "--no-default-config"], configuration: configuration)
        #expect(result.normalForm.dropFirst(2) == ["--shell-job"])
    }

    static let mistakes: [(String, Problem.Code)] = [
        ("\nfrobnicate", .unknownOption),
        ("\ntree", .missingValue),
        ("\nshell-job yes", .unexpectedValue),
        ("\ntree 1 2", .configurationSyntax),
        ("\nimages-dir \"/open", .configurationSyntax),
        ("\ntcp", .ambiguousOption),
        ("\ntrack-mem", .optionNotBuilt),
        ("\nverbosity much", .invalidValue),
    ]

    @Test(arguments: mistakes)
    func namesFileAndLine(_ text: String, _ code: Problem.Code) {
        let result = invocation(["dump"], configuration: sources(["/etc/c": text], defaults: ["/etc/c"]))
        #expect(result.problems.map(\.code) == [code])
        #expect(result.problems.first?.object.path == "/etc/c:2")
    }

    @Test func missingDefaultIsFineMissingChoiceIsNot() {
        let absent = sources([:], defaults: ["/nowhere"])
        #expect(invocation(["dump"], configuration: absent).problems == [])
        let chosen = invocation(["dump", "--config", "/nowhere"], configuration: absent)
        #expect(chosen.problems.map(\.code) == [.configurationUnreadable])
        let environment = invocation(["dump"], configuration: sources([:], environment: "/nowhere"))
        #expect(environment.problems.map(\.code) == [.configurationUnreadable])
    }
}
