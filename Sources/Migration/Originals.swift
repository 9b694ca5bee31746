internal import Glibc
internal import Linux
internal import SystemPackage

/// What is left of a tree on the host that it was to leave, and where it was last heard of in a record: each process is recognised by its pid and its
/// start, so that no other is meant that has one of the pids now.
enum Originals {
    /// Where they are, seen from here.
    enum Place: Equatable {
        case here
        /// In another pid namespace, of which this process is.
        case elsewhere(member: Int32)
        /// In a pid namespace of which nobody can be seen from here, be it that nobody is left or that it is no part of this one.
        case outOfSight
        /// Nowhere: they have ended, or the host was started anew.
        case nowhere
    }

    static func place(_ record: Journal.Record, seesWholeHost: Bool = Processes.seesWholeHost) -> Place {
        guard record.isOfThisBoot else { return .nowhere }
        if areVisible(record) { return there(record).isEmpty ? .nowhere : .here }
        if let member = PidNamespaceMark(record.pidNamespace).member() { return .elsewhere(member: member) }
        return seesWholeHost ? .nowhere : .outOfSight
    }

    /// Lets them run on.
    static func resume(_ record: Journal.Record) {
        for (_, descriptor) in there(record) { try? Processes.kill(pidfd: descriptor.raw, signal: SIGCONT) }
    }

    /// Those that are there.
    static func pids(_ record: Journal.Record) -> Set<Int32> { Set(there(record).map(\.pid)) }

    /// Ends them, and their TCP connections without a word to the other ends, which speak with the other host now: a socket in
    /// repair mode sends neither FIN nor RST when it is closed.
    static func end(_ record: Journal.Record) {
        let all = there(record)
        var held: [SharedDescriptor] = []
        for (pid, descriptor) in all { held += connections(of: pid, descriptor.raw) }
        for one in held { try? Sockets.setRepair(one.raw, .on) }
        for (_, descriptor) in all { try? Processes.kill(pidfd: descriptor.raw, signal: SIGKILL) }
        // The copies are what is closed last.
        for (_, descriptor) in all where !held.isEmpty {
            var entries = [Files.PollEntry(descriptor.raw, .readable)]
            _ = try? Files.poll(&entries, timeout: 5_000_000_000)
        }
        withExtendedLifetime(held) {}
    }

    /// Whether the pids of a record are those that are seen from here.
    private static func areVisible(_ record: Journal.Record) -> Bool {
        record.pidNamespace.isEmpty || PidNamespaceMark(record.pidNamespace).matches(.own)
    }

    private static func there(_ record: Journal.Record) -> [(pid: Int32, descriptor: SharedDescriptor)] {
        guard areVisible(record) else { return [] }
        return record.candidates.compactMap { process in
            guard let descriptor = try? Processes.open(process.pid),
                (try? ProcessDirectory(process.pid).stat())?.startTime == process.start
            else { return nil }
            return (process.pid, SharedDescriptor(descriptor))
        }
    }

    /// Copies of the TCP sockets of a process.
    private static func connections(of pid: Int32, _ process: Int32) -> [SharedDescriptor] {
        let (folder, tcp) = (FilePath("/proc/\(pid)/fd"), Int32(6))
        return ((try? Files.entries(of: folder)) ?? []).compactMap { entry in
            guard let name = FilePath.Component(String(decoding: entry.name, as: UTF8.self)),
                let number = Int32(name.string), let link = try? Files.readLink(folder.appending(name)),
                link.starts(with: Array("socket:".utf8)), let copy = try? Processes.descriptor(number, of: process),
                let domain = try? Sockets.number(of: copy.raw, .domain),
                domain == Sockets.inet || domain == Sockets.inet6,
                (try? Sockets.number(of: copy.raw, .protocolNumber)) == tcp
            else { return nil }
            return SharedDescriptor(copy)
        }
    }
}
