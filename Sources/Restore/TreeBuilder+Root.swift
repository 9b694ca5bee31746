internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Making the first process, of which all others are made.
extension TreeBuilder {
    func spawnRoot() throws(Problem) {
        // Until it is told otherwise the root only reports that it is there.
        mailbox.assign(.init(), to: root.threads[0])
        let program = Husk.executable(
            at: plan.area.husk, code: plan.area.code, codeLength: 4096, dataLength: plan.mailboxSize,
            file: plan.firstServiceDescriptor, control: plan.area.mailbox + root.threads[0].controlPlace)
        do throws(Errno) {
            let file = try Files.memory(named: "apus-husk", flags: MemoryFileFlag.closeOnExec)
            try Files.write(file.raw, program, at: 0)
            _ = try? Processes.adoptOrphans(true)
            let pid = Husk.spawn(file.raw, pid: root.pid, sibling: sibling)
            guard pid > 0 else { throw Errno(rawValue: -pid) }
            started = [root.pid]
        } catch {
            throw error == .fileExists ? PidsInUse.problem(root.pid, root.name) : spawnFailure(error)
        }
    }

    private func spawnFailure(_ error: Errno) -> Problem {
        Problem(
            .restoreFailed, "the first process cannot be made with pid \(root.pid)", object: .init(pid: root.pid),
            cause: .init(error, attempted: "clone3 with set_tid"),
            remedy: error == .notPermitted
                ? "Run Apus as root, or with CAP_CHECKPOINT_RESTORE in the user namespace of the pid namespace"
                : "See that pid_max (sysctl kernel.pid_max) is above \(root.pid), and that there is enough memory")
    }

    /// Parks the kernel's own mappings, clears the rest of the root's address space, and puts the way out where the
    /// children inherit it.
    func arrive() throws(Problem) {
        try collect([Expectation(of: root, [0: .init()])])
        let batch = try clearing()
        mailbox.write(batch)
        mailbox.assign(batch, to: root.threads[0])
        try command(root)
        try collect([Expectation(of: root, [0: batch])])
        guard let offset = Husk.exitOffset(inVdso: try hostVdso()) else {
            throw Problem(
                .noRoomForCode, "the vdso of this kernel has no room for the way out",
                remedy: "Report the kernel's version; another kernel will do")
        }
        // The vdso was parked behind the mappings that the kernel puts before it.
        let memory = try ProcessMemory(pid: root.pid)
        Steps.take()
        do throws(Errno) {
            try memory.write(Husk.exit.bytes, at: plan.area.parking + (Int(vdsoOffset) + offset))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be written", object: .init(pid: root.pid),
                cause: .init(error, attempted: "write to /proc/\(root.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private func hostVdso() throws(Problem) -> [UInt8] {
        let memory = try ProcessMemory(pid: root.pid)
        do throws(Errno) {
            return try memory.read(plan.area.parking + Int(vdsoOffset), count: Int(vdsoSize))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be read", object: .init(pid: root.pid),
                cause: .init(error, attempted: "read of /proc/\(root.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private func clearing() throws(Problem) -> RestorePlan.PlacedBatch {
        let areas: [MappedArea]
        do throws(ProcfsError) { areas = try ProcessDirectory(root.pid).maps() } catch {
            throw Problem(
                .restoreFailed, "the mappings of the new process cannot be read (\(error))",
                object: .init(pid: root.pid), remedy: "Mount /proc where Apus runs")
        }
        var batch = Batch()
        let kernels = areas.filter { $0.name.isKernelProvided && $0.name != .vsyscall }
        let first = kernels.first?.range.lowerBound ?? 0
        for area in kernels {
            let offset = area.range.lowerBound - first
            if area.name == .vdso { (vdsoOffset, vdsoSize) = (offset, area.size) }
            let place = plan.area.parking + Int(offset)
            batch.call(
                Int(SYS_mremap), .value(area.range.lowerBound), .value(area.size), .value(area.size), 3,
                .address(place), expecting: Int64(place.raw)...Int64(place.raw), for: "park vdso and vvar")
        }
        let end = plan.area.mailbox + plan.mailboxSize
        let top: UInt64 = 0x7fff_ffff_f000
        batch.call(Int(SYS_munmap), 0, .address(plan.area.husk + 0x1000), for: "clear the address space")
        batch.call(Int(SYS_munmap), .address(end), .value(top - end.raw), for: "clear the address space")
        // The room of the root's own batch is not used yet.
        return .init(batch, at: max(root.rebuild.place, root.family.place))
    }
}
