import Diagnostics
import Images
import Linux
import Testing

@testable import Objects

/// Settings that go through the supplement come out as they went in.
struct SettingsTests {
    @Test func ofAThread() {
        var settings = ThreadSettings()
        #expect(settings.isUsual && ThreadSettings(settings.json).isUsual && ThreadSettings(nil).isUsual)
        settings.processors = [0b1011, 0, 1]
        settings.ioPriority = 3 << 13
        settings.timerSlack = 1 << 40
        settings.timeStampCounter = 2
        settings.machineCheckKill = 0
        settings.personality = 0x004_0000
        settings.isIOFlusher = true
        settings.hasNoCPUID = true
        settings.speculation = [0: 5, 2: 3]
        settings.scheduling = Processes.Scheduling(
            policy: 6, flags: 1, nice: -7, priority: 0, runtime: 10, deadline: .max, period: 30)
        settings.scheduling?.utilization = 100...900
        #expect(ThreadSettings(settings.json) == settings)
        #expect(JSON(parsing: Array(settings.json.text().utf8)).map { ThreadSettings($0) } == settings)
    }

    @Test func ofAProcess() {
        var settings = ProcessSettings()
        #expect(settings.isUsual && ProcessSettings(settings.json).isUsual && ProcessSettings(nil).isUsual)
        settings.coreDumpFilter = 0x7f
        settings.autogroupNice = -3
        settings.denyWriteExecute = 3
        settings.mergesMemory = true
        settings.hugePages = 3
        settings.requestedFeatures = 1 << 18
        settings.tagBits = 6
        #expect(JSON(parsing: Array(settings.json.text().utf8)).map { ProcessSettings($0) } == settings)
    }

    /// Of what is no setting nothing is taken.
    @Test func ofSomethingElse() {
        #expect(ThreadSettings(["processors": 7, "sched_policy": "x", "io_flusher": 1]).isUsual)
        #expect(ProcessSettings(.array([1, 2])).isUsual)
    }
}
