/// The lines of /proc/PID/fdinfo that must be the same after a restore, in an order that does not depend on addresses.
enum DescriptorLines {
    /// The mount and the inode of a pipe are new ones after a restore, as are the numbers of an eventfd and of a BPF map; time
    /// goes on.
    private static let volatile = ["mnt_id:", "ino:", "eventfd-id:", "map_id:", "it_value:", "ticks:"]

    static func stable(_ information: String) -> [String] {
        information.split(separator: "\n").filter { line in !volatile.contains { line.hasPrefix($0) } }
            .map { watched(String($0)) }.sorted()
    }

    /// The timers of a process, each on a line, sorted: the kernel lists them in the order of their making.
    static func timers(_ text: String) -> String {
        text.replacing("\nsignal:", with: " signal:").replacing("\nnotify:", with: " notify:")
            .replacing("\nClockID:", with: " ClockID:").split(separator: "\n").sorted().joined(separator: "\n")
    }

    /// What an epoll set or an inotify queue watches, without the inode: a file without a name has a new one.
    private static func watched(_ line: String) -> String {
        if line.hasPrefix("inotify wd:") {
            return line.split(separator: " ").filter { !$0.hasPrefix("ino:") && !$0.hasPrefix("f_handle:") }
                .joined(separator: " ")
        }
        guard line.hasPrefix("tfd:"), let end = line.firstRange(of: " pos:")?.lowerBound else { return line }
        return String(line[..<end])
    }
}
