internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage

/// The terminals of a tree that runs: which of them are of another's.
struct TerminalLook {
    /// A descriptor of a terminal.
    struct Seen {
        let seen: SeenDescriptor
        /// The device of the terminal itself; nil where that cannot be told.
        let device: DeviceNumber?
        /// It is open by the terminal's own name, and not as `/dev/tty`.
        var isByName: Bool { device == seen.status.representedDevice }
    }

    let stats: [TaskStat]
    let pids: Set<Int32>
    private let descriptors: [SeenDescriptor]
    /// The pairs whose master is in the tree; nil where they cannot be told.
    let table: TerminalTable?

    /// Looks at a root and all below it. What ends meanwhile is not seen; the dump looks again.
    init(of root: Int32) {
        var pending = [root]
        var stats: [TaskStat] = []
        var descriptors: [SeenDescriptor] = []
        while let pid = pending.popLast() {
            let directory = ProcessDirectory(pid)
            guard let stat = try? directory.stat() else { continue }
            stats.append(stat)
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), link.starts(with: "/dev/".utf8),
                    let seen = try? SeenDescriptor(
                        number, of: pid, process: String(decoding: stat.name, as: UTF8.self)),
                    TerminalFile.recognises(seen)
                else { continue }
                descriptors.append(seen)
            }
            pending += (try? Procfs.live.children(of: pid)) ?? []
        }
        self.stats = stats
        self.descriptors = descriptors
        pids = Set(stats.map(\.pid))
        table = try? TerminalTable(of: descriptors)
    }

    /// Processes with a controlling terminal whose master is not in the tree.
    var controlled: [TaskStat] {
        stats.filter { stat in
            stat.terminal != DeviceNumber(major: 0, minor: 0) && stat.state != .zombie && table?.controls(stat) != true
        }
    }

    /// Descriptors of terminals that others hold the masters of; those that are hung up are nobody's.
    func outside() throws(Problem) -> [Seen] {
        var found: [Seen] = []
        for seen in descriptors where !TerminalFile.isMaster(seen) && table?.pair(of: seen) == nil {
            guard let process = try? Processes.open(thread: seen.pid),
                let own = try? Processes.descriptor(seen.number, of: process.raw)
            else { continue }
            do throws(Errno) { _ = try Terminal.settings(own.raw) } catch {
                if error == .ioError { continue }
                throw Problem(
                    .objectUnreadable, "a terminal of the tree cannot be looked at", object: seen.object,
                    cause: .init(error, attempted: "ioctl(TCGETS)"), remedy: "Run Apus as root")
            }
            found.append(Seen(seen: seen, device: try? Terminal.device(own.raw)))
        }
        return found
    }
}
