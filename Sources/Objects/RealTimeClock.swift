public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A real-time clock (rtc(4)): opened again by its name, as long as the program waits for nothing of it.
///
/// Only one process has it open at a time. What that has asked it to tell (updates, ticks, the alarm) can be seen for
/// the first clock of the host only, in `/proc/driver/rtc`; the others refuse.
public enum RealTimeClock: DescriptionKind {
    public static let name = "real-time clock"

    private static let names = ["/dev/rtc", "/dev/misc/rtc"]
    private static let settings: FilePath = "/proc/driver/rtc"
    /// The lines of its settings that say what it is to tell, and what people call that (drivers/rtc/proc.c).
    private static let asked = [
        "alarm_IRQ": "its alarm", "update IRQ enabled": "its updates (RTC_UIE_ON)",
        "periodic IRQ enabled": "its ticks (RTC_PIE_ON)",
    ]

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.status.kind == .characterDevice && names.contains { seen.linkBegins(with: $0) }
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? { Device.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if Device.externalName(seen, circumstances) != nil { return nil }
        guard let summary = awaited(seen) else {
            return RegularFile.obstacle(
                to: seen.path, seen.status, seen.object, followLinks: !seen.info.flags.contains(.noFollow))
        }
        return Problem(
            .unsupported, summary, object: seen.object,
            remedy: Device.remedy(for: seen, "Close it in the program before the dump"))
    }

    /// What it has been asked to tell, as a sentence; nil where that is nothing.
    private static func awaited(_ seen: SeenDescriptor) -> String? {
        guard ["/dev/rtc", "/dev/rtc0"].contains(seen.path.string), let text = try? Files.contents(of: settings) else {
            return "what it has asked of this real-time clock cannot be seen"
        }
        return awaited(in: String(decoding: text, as: UTF8.self))
    }

    /// What a clock with these settings (`/proc/driver/rtc`) has been asked to tell, as a sentence; nil for nothing.
    static func awaited(in settings: String) -> String? {
        let lines = settings.split(separator: "\n").map { line in
            line.split(separator: ":", maxSplits: 1).map {
                $0.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            }
        }
        for line in lines where line.count == 2 && line[1] == "yes" {
            if let what = asked[line[0]] { return "the real-time clock is to tell \(what)" }
        }
        return nil
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        if Device.externalName(seen, descriptions.circumstances) == nil {
            let own = try descriptions.open(seen)
            var entries = [Files.PollEntry(own.raw, .readable)]
            let count: Int
            do throws(Errno) { count = try Files.poll(&entries, timeout: 0) } catch {
                throw Problem(
                    .objectUnreadable, "the real-time clock cannot be asked", object: seen.object,
                    cause: .init(error, attempted: "poll"), remedy: "Close it in the program before the dump")
            }
            if count > 0 {
                throw Problem(
                    .unsupported, "the real-time clock has told something that the program has not read",
                    object: seen.object, remedy: "Try again in a moment, or close it in the program before the dump")
            }
        }
        return try Device.capture(seen, into: descriptions)
    }
}
