import Images
import Testing

@Suite("Processor levels")
struct ProcessorLevelTests {
    @Test("The level that a program is started with is found in its environment", arguments: ProcessorLevel.allCases)
    func found(_ level: ProcessorLevel) {
        for before in [nil, "", "glibc.malloc.check=3", "glibc.cpu.hwcaps=-AVX"] {
            let variable = level.variable(before: before)
            #expect(ProcessorLevel(environment: ["A=b", variable, "PATH=/bin"].map { Array($0.utf8) }) == level)
        }
    }

    @Test(
        "What does not keep to a level for sure is none",
        arguments: [
            [], ["GLIBC_TUNABLES="], ["GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F"],
            ["GLIBC_TUNABLES=glibc.malloc.check=3"],
            ["X" + ProcessorLevel.v2.variable(before: nil)],
            [ProcessorLevel.v2.variable(before: nil), ProcessorLevel.v2.variable(before: nil)],
            [ProcessorLevel.v2.variable(before: nil) + ":glibc.cpu.hwcaps=AVX"],
            [ProcessorLevel.v2.variable(before: nil).replacing("-", with: "")],
        ])
    func none(_ environment: [String]) {
        #expect(ProcessorLevel(environment: environment.map { Array($0.utf8) }) == nil)
    }

    @Test("A higher level has all that a lower one has")
    func order() {
        #expect(ProcessorLevel.allCases.sorted() == [.v2, .v3, .v4])
        #expect(ProcessorLevel.v3.features.isStrictSuperset(of: ProcessorLevel.v2.features))
        #expect(ProcessorLevel.v4.features.isStrictSuperset(of: ProcessorLevel.v3.features))
    }
}
