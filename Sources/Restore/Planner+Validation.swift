internal import Diagnostics
internal import Images

/// What no kernel could have written: numbers that would overflow, or lead beyond what a process can have. Images are
/// input; the plan relies on what is checked here.
extension Planner {
    /// The end of user space with four levels of page tables.
    private static let userSpaceEnd: UInt64 = 0x7fff_ffff_f000
    private static let lowestStack: UInt64 = 0x10000
    /// fs.nr_open (proc_sys_fs(5)) is far below.
    private static let descriptorLimit: UInt32 = 1 << 26
    private static let offsetLimit: UInt64 = 1 << 62

    static func impossibilities(_ images: CheckpointImages) -> [Problem] {
        var found: [Problem] = []
        for task in images.tasks {
            func report(_ what: String, address: UInt64? = nil, fd: Int32? = nil) {
                found.append(
                    Problem(
                        .imageUnsuitable, what,
                        object: .init(pid: task.pid, process: task.task.commText, fd: fd, address: address),
                        remedy: "Copy the images again; if they are whole, report this"))
            }
            // That of vsyscall lies above all else, and is left to the kernel; but what says so is nothing else.
            for vma in task.memory?.vmas ?? []
            where !vma.kind.contains(.vsyscall) || !vma.kind.isSubset(of: [.vsyscall, .regular, .privateAnonymous]) {
                let isSound =
                    vma.start < vma.end && vma.end <= userSpaceEnd && vma.start % 4096 == 0 && vma.end % 4096 == 0
                    && vma.pgoff < offsetLimit
                if !isSound { report("the images hold a mapping that no kernel could have made", address: vma.start) }
            }
            for descriptor in task.descriptors where descriptor.fd >= descriptorLimit {
                report("the images hold a descriptor that no kernel could have made: \(descriptor.fd)")
            }
            for thread in task.threads.dropFirst(task.hasLostLeader ? 1 : 0)
            where task.state != .dead && !isSound(thread) {
                report(
                    "thread \(thread.tid) has a stack pointer or an alternate stack outside of user space",
                    address: thread.core.threadInfo.gpregs.sp)
            }
        }
        return found
    }

    private static func isSound(_ thread: ThreadImages) -> Bool {
        let range = lowestStack..<userSpaceEnd
        let core = thread.core.threadCore
        guard range.contains(thread.core.threadInfo.gpregs.sp) else { return false }
        guard core.hasSas, core.sas.ssFlags & 2 == 0, core.sas.ssSize > 0 else { return true }
        return range.contains(core.sas.ssSp) && core.sas.ssSize < userSpaceEnd - core.sas.ssSp
    }
}
