internal import Linux
internal import Objects
internal import SystemPackage

/// Who has the pseudo-terminals of a tree open beside the tree.
enum TerminalHolders {
    /// Finds processes outside of the tree that have a side of a pair open; Apus itself does not count.
    static func mark(_ terminals: inout TerminalTable, outside pids: Set<Int32>) {
        if terminals.pairs.isEmpty { return }
        let own = Processes.current
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            var isOutside: Bool?
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), isTerminal(link),
                    let seen = try? SeenDescriptor(number, of: pid, process: ""),
                    let key = pair(of: seen, in: terminals)
                else { continue }
                let outside = isOutside ?? !Descent.leads(to: pid, from: pids)
                isOutside = outside
                if outside { terminals.lead(key, to: "process \(pid)") }
            }
        }
    }

    private static func isTerminal(_ link: [UInt8]) -> Bool {
        link.starts(with: "/dev/pts/".utf8) || link.elementsEqual("/dev/tty".utf8)
            || link.suffix(4).elementsEqual("ptmx".utf8)
    }

    /// The pair that a foreign descriptor is a side of. All masters look alike, and one description is one master.
    private static func pair(of seen: SeenDescriptor, in terminals: TerminalTable) -> TerminalPair.Key? {
        guard TerminalFile.isMaster(seen) else {
            return TerminalFile.recognises(seen) ? terminals.pair(of: seen)?.key : nil
        }
        return terminals.pairs.values.first { pair in
            let order = try? Processes.compare(
                seen.pid, pair.master.pid, .file(seen.number, pair.master.number))
            return order == .same
        }?.key
    }
}
