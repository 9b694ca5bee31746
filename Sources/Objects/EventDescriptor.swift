internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What the kinds of event descriptors (eventfd, timerfd, signalfd, epoll, inotify) have in common: no name, and a state
/// that `/proc/PID/fdinfo` shows in lines of their own.
extension SeenDescriptor {
    /// A number of a line of fdinfo; nil where there is no such line, or no number in it.
    func number<Value: FixedWidthInteger>(_ key: String, radix: Int = 10) -> Value? {
        guard let value = info.values(of: key).first else { return nil }
        return Value(String(decoding: value, as: UTF8.self).trimmingBlanks, radix: radix)
    }
}

extension String {
    /// Without the blanks at both ends.
    var trimmingBlanks: Substring {
        let end = lastIndex { $0 != " " && $0 != "\t" }
        return end.map { self[...$0] }?.drop { $0 == " " || $0 == "\t" } ?? ""
    }
}

extension Descriptions {
    /// For a line of fdinfo that a kernel does not show, or not so.
    func missing(_ line: String, of seen: SeenDescriptor) -> Problem {
        Problem(
            .objectUnreadable, "the kernel does not show its state (\(line))", object: seen.object,
            remedy: "Dump on a kernel of version 5.10 or later, with /proc mounted")
    }

    /// Who is told of events of a descriptor by signals; the descriptor is opened for the question.
    func owner(of seen: SeenDescriptor) throws(Problem) -> FownEntry {
        let own = try open(seen)
        return try owner(of: seen, through: own.raw)
    }

    /// Records an entry and names it.
    func record(_ type: FdTypes, _ id: UInt32, _ fill: (inout FileEntry) -> Void) -> DescriptionKey {
        var entry = FileEntry()
        entry.type = type
        entry.id = id
        fill(&entry)
        add(entry)
        return DescriptionKey(type, id)
    }
}

/// The status flags with which a description that Apus has made is to be left: all but how it was opened.
func setFlags(_ flags: UInt32, of descriptor: Int32) throws(Errno) {
    let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: flags))
    try Files.setStatusFlags(descriptor, flags.subtracting([.writeOnly, .readWrite, .closeOnExec]))
}
