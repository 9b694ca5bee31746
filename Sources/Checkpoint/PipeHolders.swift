internal import Linux
internal import SystemPackage

/// Who holds the pipes of a tree beside the tree.
enum PipeHolders {
    /// Finds the files, by their links in `/proc/PID/fd`, that a process outside of the tree has open, and one such
    /// process each. Apus itself does not count.
    static func outside(of pids: Set<Int32>, amongNamed names: Set<[UInt8]>) -> [[UInt8]: Int32] {
        if names.isEmpty { return [:] }
        var found: [[UInt8]: Int32] = [:]
        let own = Processes.current
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            var isOutside: Bool?
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), names.contains(link) else { continue }
                let outside = isOutside ?? !Descent.leads(to: pid, from: pids)
                isOutside = outside
                if outside { found[link] = pid }
            }
        }
        return found
    }
}
