internal import Linux
internal import SystemPackage

/// Who has the POSIX message queues of a tree open beside the tree.
enum QueueHolders {
    /// - Parameter links: of the queues in `/proc/PID/fd`.
    /// - Returns: a process outside of the tree, by the inode of the queue; Apus itself does not count.
    static func outside(
        of pids: Set<Int32>, among inodes: Set<UInt64>, _ links: Set<[UInt8]>
    ) -> [UInt64: Int32] {
        var found: [UInt64: Int32] = [:]
        let own = Processes.current
        for pid in (try? Procfs.live.processes()) ?? [] where pid != own && !pids.contains(pid) {
            let directory = ProcessDirectory(pid)
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            for number in (try? directory.descriptors()) ?? [] {
                guard let link = try? directory.descriptorLink(number), links.contains(link),
                    let status = try? Files.status(of: directory.path.appending("fd").appending("\(number)")),
                    inodes.contains(status.inode), !Descent.leads(to: pid, from: pids)
                else { continue }
                found[status.inode] = pid
            }
        }
        return found
    }
}
