import Testing

@testable import Migration

/// When a tree will run on the other host. A megabyte takes a millisecond here.
@Suite struct ForecastTests {
    private static let millisecond: UInt64 = 1_000_000
    private static let mega: UInt64 = 1_000_000

    private func forecast() -> Forecast {
        Forecast(limit: 100 * Self.millisecond, fixed: 10 * Self.millisecond, mostRounds: 30)
    }

    /// Rounds that are over.
    private func forecast(_ sizes: [UInt64]) -> (Forecast, carried: UInt64, now: UInt64) {
        let forecast = forecast()
        var (carried, now): (UInt64, UInt64) = (0, 1)
        for size in sizes {
            forecast.begin(size: size * Self.mega, carried: carried, at: now)
            carried += size * Self.mega
            now += size * Self.millisecond
            forecast.end(at: now)
        }
        return (forecast, carried, now)
    }

    private func isAbout(_ value: UInt64?, _ milliseconds: UInt64) -> Bool {
        guard let value else { return false }
        let wanted = milliseconds * Self.millisecond
        return value > wanted * 95 / 100 && value < wanted * 105 / 100
    }

    @Test func `nothing is said before anything is known`() {
        let forecast = forecast()
        #expect(forecast.left(carried: 0, at: 0) == nil)
        forecast.begin(size: 4000 * Self.mega, carried: 0, at: 0)
        #expect(forecast.left(carried: 10 * Self.mega, at: 10 * Self.millisecond) == nil)
    }

    @Test func `in the first round it is what is left of it`() {
        let forecast = forecast()
        forecast.begin(size: 4000 * Self.mega, carried: 0, at: 0)
        #expect(forecast.round == (1, 4000 * Self.mega))
        #expect(isAbout(forecast.left(carried: 1000 * Self.mega, at: 1000 * Self.millisecond), 3010))
    }

    @Test func `later rounds shrink as the last did`() {
        // 800, 400, 200, 100 to come, then 50 while it stands still: the limit is kept.
        let (forecast, carried, now) = forecast([3200, 1600])
        forecast.begin(size: 800 * Self.mega, carried: carried, at: now)
        #expect(isAbout(forecast.left(carried: carried, at: now), 800 + 400 + 200 + 100 + 10))
        #expect(forecast.sent(carried + Self.mega) == Self.mega)
    }

    @Test func `what does not shrink is sent once more`() {
        let (forecast, carried, now) = forecast([1000, 1000])
        forecast.begin(size: 1000 * Self.mega, carried: carried, at: now)
        #expect(isAbout(forecast.left(carried: carried, at: now), 1000 + 1000 + 10))
    }
}
