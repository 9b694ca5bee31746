public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A descriptor that means a process: pidfd_open(2). It goes on meaning it when the process has ended, and nothing else then.
public enum Pidfd: DescriptionKind {
    public static let name = "pidfd"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        // The file system of its own, since Linux 6.9, was first shown by its name.
        seen.linkBegins(with: "anon_inode:[pidfd]") || seen.linkBegins(with: "pidfd:[")
    }

    /// What fdinfo shows for a process of which nothing is left.
    private static let nobody: Int32 = -1

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let pid: Int32 = seen.number("Pid") else {
            return Problem(
                .objectUnreadable, "the kernel does not show which process the pidfd means", object: seen.object,
                remedy: "Dump on a kernel of version 5.10 or later, with /proc mounted")
        }
        if pid == nobody || circumstances.pids.contains(pid) { return nil }
        if isOfThread(seen), isThread(pid, of: circumstances.pids) {
            return Problem(
                .unsupported, "the pidfd means thread \(pid), which is not the first of its process",
                object: seen.object,
                remedy: "Only those of processes are carried: close it in the program before the dump")
        }
        return Problem(
            .leadsOutside,
            pid == 0
                ? "the pidfd means a process in another pid namespace"
                : "the pidfd means process \(pid), which is outside of the tree",
            object: seen.object,
            remedy: "Dump the tree that has both processes, or close it in the program before the dump")
    }

    private static func isOfThread(_ seen: SeenDescriptor) -> Bool {
        seen.info.flags.rawValue & Processes.pidfdOfThread != 0
    }

    private static func isThread(_ tid: Int32, of pids: Set<Int32>) -> Bool {
        // Any thread has a directory of its own, though it is listed in that of its process only.
        guard let process = (try? ProcessDirectory(tid).status())?.threadGroup else { return false }
        return pids.contains(process)
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let pid: Int32 = seen.number("Pid") else { throw descriptions.missing("Pid", of: seen) }
        let own = try descriptions.open(seen)
        var entry = PidfdEntry()
        entry.id = descriptions.nextID()
        entry.ino = UInt32(truncatingIfNeeded: seen.status.inode)
        entry.flags = seen.descriptionFlags
        entry.nspid = pid
        entry.fown = FileOwner.none
        if pid == nobody, let end = Processes.endOf(pidfd: own.raw) {
            descriptions.supplement[.pidfd, entry.id] = ["status": .unsigned(UInt64(end))]
        }
        return descriptions.record(.pidfd, entry.id) { $0.pidfd = entry }
    }
}
