internal import Linux
internal import SystemPackage

/// Who holds the pipes of a tree beside the tree.
enum PipeHolders {
    /// Finds the pipes that a process outside of the tree has open; Apus itself does not count.
    static func outside(of pids: Set<Int32>, among pipes: Set<UInt64>) -> Set<UInt64> {
        var found: Set<UInt64> = []
        let own = Processes.current
        let names = Dictionary(uniqueKeysWithValues: pipes.map { (Array("pipe:[\($0)]".utf8), $0) })
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), let pipe = names[link] else { continue }
                found.insert(pipe)
            }
        }
        return found
    }
}
