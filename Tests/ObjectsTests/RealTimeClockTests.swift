import Testing

@testable import Objects

@Suite("What a real-time clock is to tell")
struct RealTimeClockTests {
    /// As the kernel shows it.
    private let settings = """
        rtc_time\t: 15:12:10
        alrm_time\t: 00:00:00
        alarm_IRQ\t: no
        alrm_pending\t: no
        update IRQ enabled\t: no
        periodic IRQ enabled\t: no
        periodic IRQ frequency\t: 1024
        24hr\t\t: yes
        BCD\t\t: yes
        """

    @Test func nothing() {
        #expect(RealTimeClock.awaited(in: settings) == nil)
    }

    @Test(arguments: [("alarm_IRQ", "alarm"), ("update IRQ enabled", "updates"), ("periodic IRQ enabled", "ticks")])
    func something(_ name: String, _ what: String) {
        let changed = settings.split(separator: "\n")
            .map { $0.hasPrefix(name + "\t") ? "\(name)\t: yes" : String($0) }.joined(separator: "\n")
        #expect(RealTimeClock.awaited(in: changed)?.contains(what) == true)
    }
}
