internal import Linux
internal import SystemPackage

/// Who holds the pipes of a tree beside the tree.
enum PipeHolders {
    /// Finds the pipes that a process outside of the tree has open; Apus itself does not count.
    static func outside(of pids: Set<Int32>, among pipes: Set<UInt64>) -> Set<UInt64> {
        let names = Dictionary(uniqueKeysWithValues: pipes.map { (Array("pipe:[\($0)]".utf8), $0) })
        return Set(outside(of: pids, amongNamed: Set(names.keys)).compactMap { names[$0] })
    }

    /// Finds the files, by their links in `/proc/PID/fd`, that a process outside of the tree has open.
    static func outside(of pids: Set<Int32>, amongNamed names: Set<[UInt8]>) -> Set<[UInt8]> {
        var found: Set<[UInt8]> = []
        let own = Processes.current
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            var isOutside: Bool?
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), names.contains(link) else { continue }
                let outside = isOutside ?? !Descent.leads(to: pid, from: pids)
                isOutside = outside
                if outside { found.insert(link) }
            }
        }
        return found
    }
}
