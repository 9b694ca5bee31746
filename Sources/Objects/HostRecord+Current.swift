public import Images
internal import Linux
internal import SystemPackage

extension HostRecord {
    /// This host's. What it does not say is left empty.
    public static func current() -> HostRecord {
        let facts = try? HostFacts()
        func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
        return HostRecord(
            node: text(facts?.node), kernel: text(facts?.release), kernelVersion: text(facts?.version),
            architecture: text(facts?.machine), distribution: distribution, pageSize: HostFacts.pageSize,
            processor: .current,
            clock: .init(
                source: line(of: "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
                realTime: SystemClock.realTime.now, monotonic: SystemClock.monotonic.now,
                bootTime: SystemClock.bootTime.now))
    }

    /// PRETTY_NAME (os-release(5)).
    private static var distribution: String {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            guard let bytes = try? Files.contents(of: FilePath(path)) else { continue }
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            where line.hasPrefix("PRETTY_NAME=") {
                return line.dropFirst(12).filter { $0 != "\"" && $0 != "'" && $0 != "\\" }
            }
        }
        return ""
    }

    private static func line(of path: FilePath) -> String {
        let bytes = (try? Files.contents(of: path)) ?? []
        return String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
    }
}

extension HostRecord.Processor {
    private static func beginning(of path: FilePath) throws(Errno) -> [UInt8] {
        let file = try Files.open(path, .readOnly)
        return try Files.read(file.raw, count: 8192, at: 0)
    }

    /// This host's, by the first processor of `/proc/cpuinfo`: the kernel sees to it that all can do the same.
    public static let current: HostRecord.Processor = {
        // The kernel writes the file as it is read: no more than the first processor is asked for.
        let bytes = (try? beginning(of: "/proc/cpuinfo")) ?? []
        var values: [Substring: Substring] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let end = parts[0].lastIndex(where: { $0 != "\t" && $0 != " " }) else { continue }
            let name = parts[0][...end]
            if values[name] == nil { values[name] = parts[1].drop { $0 == " " } }
        }
        let layout = ExtendedStateLayout.current
        return .init(
            vendor: String(values["vendor_id"] ?? ""), model: String(values["model name"] ?? ""),
            features: (values["flags"] ?? "").split(separator: " ").map(String.init).sorted(),
            stateFeatures: layout.features, stateSize: UInt64(layout.size))
    }()
}
