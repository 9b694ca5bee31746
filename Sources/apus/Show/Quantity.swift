/// Numbers as people read them.
enum Quantity {
    /// A size in bytes with the unit that keeps it short: `4.0 KiB`.
    static func bytes(_ count: UInt64) -> String {
        if count < 1024 { return "\(count) B" }
        var value = Double(count) / 1024
        var unit = 0
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        // One digit behind the point: without Foundation there is no other format.
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }

    /// A span of time that is foreseen, in nanoseconds, no more exactly than it can be: `1 s`, `2 min 10 s`, `3 h 5 min`.
    static func left(_ time: UInt64) -> String {
        let seconds = max(1, (time + 500_000_000) / 1_000_000_000)
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60 / 10 * 10) s" }
        return "\(seconds / 3600) h \(seconds / 60 % 60) min"
    }

    /// `1 mapping`, `2 mappings`.
    static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    /// The same for a noun that takes more than an s: `1 process`, `2 processes`.
    static func count(_ count: Int, _ noun: String, _ several: String) -> String {
        "\(count) \(count == 1 ? noun : several)"
    }

    /// A point in time, in UTC: `2026-11-23 14:05:09 UTC`.
    static func time(_ seconds: Int64) -> String {
        // Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years from March of year 0.
        let days = seconds.flooringDivided(by: 86400)
        let shifted = days + 719_468
        let era = shifted.flooringDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let month = march < 10 ? march + 3 : march - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let second = seconds - days * 86400
        func two(_ value: Int64) -> String { (value < 10 ? "0" : "") + String(value) }
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * march + 2) / 5 + 1)) "
            + "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) UTC"
    }
}

extension Int64 {
    fileprivate func flooringDivided(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
