/// The mappings of a process as /proc/PID/smaps tells them, with neighbours that differ in nothing taken as one: the kernel
/// merges those or not, depending on the order in which they were made.
struct MapList {
    private struct Mapping {
        var start: UInt64
        var end: UInt64
        var offset: UInt64
        var anonymous: Bool
        /// Permissions, device, inode and name.
        var head: String
        var flags: String

        func isContinued(by next: Mapping) -> Bool {
            end == next.start && head == next.head && flags == next.flags
                && (anonymous || offset + (end - start) == next.offset)
        }
    }

    private var mappings: [Mapping] = []

    init(smaps: String) {
        var current: Mapping?
        for line in smaps.split(separator: "\n") {
            if let next = Self.header(line) {
                add(current)
                current = next
            } else if line.hasPrefix("VmFlags:") {
                // Whether pages were written since a mark was set is not a property of the mapping.
                var flags = line.dropFirst(8).split(separator: " ").filter { $0 != "sd" }
                // What nobody can write to any more because of a seal is mapped again as what was opened for reading: the
                // kernel calls only the one of them shared, and nothing follows from it.
                if current?.head.contains(" /memfd:") == true, !flags.contains("mw") { flags.removeAll { $0 == "sh" } }
                current?.flags = flags.joined(separator: " ")
            }
        }
        add(current)
        // A restored 32-bit program has the page of old 64-bit programs in its list, where it cannot reach it.
        if mappings.dropLast().allSatisfy({ $0.end <= 1 << 32 }), mappings.last?.head.hasSuffix("[vsyscall]") == true {
            mappings.removeLast()
        }
    }

    /// One line for each mapping.
    var text: String {
        mappings.map { mapping in
            let range = String(mapping.start, radix: 16) + "-" + String(mapping.end, radix: 16)
            return "\(range) \(mapping.head) at \(mapping.anonymous ? 0 : mapping.offset) [\(mapping.flags)]"
        }.joined(separator: "\n")
    }

    private mutating func add(_ mapping: Mapping?) {
        guard let mapping else { return }
        if let last = mappings.last, last.isContinued(by: mapping) {
            mappings[mappings.count - 1].end = mapping.end
        } else {
            mappings.append(mapping)
        }
    }

    /// `start-end perms offset dev inode name`, as in proc_pid_maps(5).
    private static func header(_ line: Substring) -> Mapping? {
        let fields = line.split(separator: " ", maxSplits: 5)
        let range = fields.first?.split(separator: "-") ?? []
        guard fields.count >= 5, range.count == 2, let start = UInt64(range[0], radix: 16),
            let end = UInt64(range[1], radix: 16), let offset = UInt64(fields[2], radix: 16)
        else { return nil }
        var name = fields.count > 5 ? String(fields[5].drop { $0 == " " }) : ""
        var inode = String(fields[4])
        // Shared memory without a name is an unnamed file, another one after a restore.
        let isSocket = name.hasPrefix("socket:[")
        if isSocket { name = "socket:[N]" }
        let unnamed = name.hasSuffix(" (deleted)") || name.hasPrefix("anon_inode:") || isSocket
        if unnamed { inode = "N" }
        if name.isEmpty { name = "anonymous" }
        return Mapping(
            start: start, end: end, offset: offset, anonymous: fields[4] == "0",
            head: "\(fields[1]) \(unnamed ? "dev" : fields[3]) \(inode) \(name)", flags: "")
    }
}
