import Linux
import SystemPackage
import Testing

@Suite("When threads last ran")
struct SchedulerRecordTests {
    private func record(_ text: String) throws -> SchedulerRecord { try SchedulerRecord(parsing: Array(text.utf8)) }

    private static let rest = """
        -------------------------------------------------------------------
        se.exec_start                                :       3936026.016871
        se.vruntime                                  :           195.187775
        nr_switches                                  :                    3
        nr_voluntary_switches                        :                    2
        nr_involuntary_switches                      :                    1

        """

    @Test func theTwoNumbers() throws {
        let record = try record("sleep (7287, #threads: 1)\n" + Self.rest)
        #expect(record.lastRun == 3_936_026_016_871)
        #expect(record.voluntarySwitches == 2)
    }

    @Test func aNameThatLooksLikeALine() throws {
        #expect(try record("se.exec_start : (1, #threads: 1)\n" + Self.rest).lastRun > 0)
    }

    @Test(arguments: [
        "", "sleep (7287, #threads: 1)\n", "se.exec_start : 5.000000\n",
        "se.exec_start : 5.1\nnr_voluntary_switches : 1\n",
        "se.exec_start : 99999999999999999999.000000\nnr_voluntary_switches : 1\n", "se.exec_start : x\n",
    ])
    func anythingElseIsRefused(_ text: String) {
        #expect(throws: ProcfsError.self) { try record(text) }
    }

    @Test func theKernelsOwn() throws {
        guard let one = try? ProcessDirectory(path: "/proc/thread-self").schedulerRecord() else { return }
        let processor = try #require(try? ProcessDirectory(path: "/proc/thread-self").stat().processor)
        let before = try Processes.affinity(of: 0)
        defer { try? Processes.setAffinity(before) }
        let now = try #require(Processes.schedulerTime(onProcessor: processor))
        #expect(now > 0 && one.lastRun > 0)
        #expect(Processes.schedulerTime(onProcessor: 60000) == nil, "there is no such processor")
    }
}
