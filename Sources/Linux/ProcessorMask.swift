internal import SystemPackage

/// Sets of processors: processor 0 in bit 0 of the first byte, as sched_setaffinity(2) has them, and as text, "0-3,6"
/// (cpuset(7), "List format").
public enum ProcessorMask {
    /// The processors that are on; nil where it cannot be found out.
    public static var online: [UInt8]? { list(in: "/sys/devices/system/cpu/online") }

    /// The processors that the kernel has made room for.
    public static var possible: [UInt8]? { list(in: "/sys/devices/system/cpu/possible") }

    /// The numbers of the nodes that have memory (numa(7)); none where the kernel knows of no nodes.
    public static var nodesWithMemory: [Int] {
        let mask = list(in: "/sys/devices/system/node/has_memory") ?? []
        return (0..<mask.count * 8).filter { mask[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
    }

    private static func list(in file: FilePath) -> [UInt8]? {
        guard let text = try? Files.contents(of: file) else { return nil }
        return parse(String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }

    /// More than any machine has.
    private static let limit = 1 << 16

    /// - Returns: nil where the text is no list.
    public static func parse(_ text: String) -> [UInt8]? {
        var mask: [UInt8] = []
        for range in text.split(separator: ",") {
            let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], 0 <= first, first <= last,
                last < limit
            else { return nil }
            for number in first...last {
                while mask.count <= number / 8 { mask.append(0) }
                mask[number / 8] |= 1 << UInt8(number % 8)
            }
        }
        return mask.isEmpty ? nil : mask
    }

    public static func text(_ mask: [UInt8]) -> String {
        var ranges: [String] = []
        var start: Int?
        for number in 0...(mask.count * 8) {
            let isIn = number < mask.count * 8 && mask[number / 8] & (1 << UInt8(number % 8)) != 0
            if isIn {
                start = start ?? number
            } else if let first = start {
                ranges.append(first == number - 1 ? "\(first)" : "\(first)-\(number - 1)")
                start = nil
            }
        }
        return ranges.joined(separator: ",")
    }

    /// What both have.
    public static func common(_ one: [UInt8], _ other: [UInt8]) -> [UInt8] { zip(one, other).map { $0 & $1 } }
}
