internal import Diagnostics
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Whether the pid that the user gave names something that can be dumped at all.
enum RootObstacles {
    /// PF_KTHREAD of the kernel.
    private static let kernelThread: UInt32 = 0x0020_0000

    static func check(_ root: Int32) throws(Problem) {
        let status: TaskStatus
        let stat: TaskStat
        do throws(ProcfsError) {
            status = try ProcessDirectory(root).status()
            stat = try ProcessDirectory(root).stat()
        } catch {
            // Whether it is not there, or not to be read, is told by the survey.
            return
        }
        let object = Problem.Object(pid: root, process: String(decoding: stat.name, as: UTF8.self))
        if stat.flags & kernelThread != 0 {
            throw Problem(
                .unsupported, "it is a thread of the kernel", object: object,
                remedy: "Only programs can be dumped; look for the right pid with `ps -e --forest`")
        }
        if status.threadGroup != root {
            throw Problem(
                .noSuchProcess, "it is a thread of process \(status.threadGroup), and no process", object: object,
                remedy: "Dump the whole process: --tree \(status.threadGroup)")
        }
        if stat.state.hasEnded && status.threadCount < 2 {
            throw Problem(
                .noSuchProcess, "the process has exited already (a zombie)", object: object,
                remedy: "There is nothing left to dump; its parent \(stat.parent) has yet to take its exit status")
        }
    }

    static func checkMember(_ pid: Int32, of root: Int32) throws(Problem) {
        guard pid == Processes.current else { return }
        throw Problem(
            .unsupported, "Apus itself is in the tree of process \(root)", object: .init(pid: pid, process: "apus"),
            remedy: "Run the dump from outside of the tree, from another terminal for example")
    }
}
