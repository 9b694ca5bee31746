internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Making the first process, of which all others are made: the root, or a helper that begins its session.
extension TreeBuilder {
    func spawnFirst() throws(Problem) {
        // Until it is told otherwise it only reports that it is there.
        mailbox.assign(.init(), to: first.threads[0])
        let program = Husk.executable(
            at: plan.area.husk, code: plan.area.code, codeLength: 4096, dataLength: plan.mailboxSize,
            file: plan.mailboxDescriptor, control: plan.area.mailbox + first.threads[0].controlPlace)
        let (wanted, sibling) = (first.pid, sibling)
        let spawn = { () throws(Errno) in
            let file = try Files.memory(named: "apus-husk", flags: MemoryFileFlag.closeOnExec)
            try Files.write(file.raw, program, at: 0)
            _ = try? Processes.adoptOrphans(true)
            let pid = Husk.spawn(file.raw, pid: wanted, sibling: sibling)
            guard pid > 0 else { throw Errno(rawValue: -pid) }
        }
        let made = try plan.clocks?.run(spawn) ?? Result { () throws(Errno) in try spawn() }
        do throws(Errno) {
            try made.get()
            started = [first.pid]
        } catch {
            throw error == .fileExists ? PidsInUse.problem(first.pid, first.name) : spawnFailure(error)
        }
    }

    private func spawnFailure(_ error: Errno) -> Problem {
        let remedy =
            switch error {
            case .notPermitted:
                "Run Apus as root, or with CAP_CHECKPOINT_RESTORE in the user namespace of the pid namespace"
            case .resourceTemporarilyUnavailable: CallFailure.moreProcesses
            default: "See that pid_max (sysctl kernel.pid_max) is above \(first.pid), and that there is enough memory"
            }
        return Problem(
            .restoreFailed, "the first process cannot be made with pid \(first.pid)", object: .init(pid: first.pid),
            cause: .init(error, attempted: "clone3 with set_tid"), remedy: remedy)
    }

    /// Takes a root over that was made before, and has fetch from Apus what it would have inherited.
    func takeOver(_ early: EarlyRoot) throws(Problem) {
        started = [first.pid]
        heardFrom.insert(first.pid)
        (vdsoOffset, vdsoSize) = early.vdso
        try early.handOver(plan) { batch, command throws(Problem) in
            mailbox.write(batch)
            mailbox.assign(batch, to: first.threads[0])
            Steps.take()
            try command()
            try collect([Expectation(of: first, [0: batch])])
        }
    }

    /// Parks the kernel's own mappings, clears the rest of its address space, and puts the way out where the
    /// children inherit it.
    func arrive() throws(Problem) {
        try collect([Expectation(of: first, [0: .init()])])
        let batch = try clearing()
        mailbox.write(batch)
        mailbox.assign(batch, to: first.threads[0])
        try command(first)
        try collect([Expectation(of: first, [0: batch])])
        guard let offset = Husk.exitOffset(inVdso: try hostVdso()) else {
            throw Problem(
                .noRoomForCode, "the vdso of this kernel has no room for the way out",
                remedy: "Report the kernel's version; another kernel will do")
        }
        // The vdso was parked behind the mappings that the kernel puts before it.
        let memory = try ProcessMemory(pid: first.pid)
        Steps.take()
        do throws(Errno) {
            try memory.write(Husk.exit.bytes, at: plan.area.parking + (Int(vdsoOffset) + offset))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be written", object: .init(pid: first.pid),
                cause: .init(error, attempted: "write to /proc/\(first.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private func hostVdso() throws(Problem) -> [UInt8] {
        let memory = try ProcessMemory(pid: first.pid)
        do throws(Errno) {
            return try memory.read(plan.area.parking + Int(vdsoOffset), count: Int(vdsoSize))
        } catch {
            throw Problem(
                .memoryUnreachable, "its vdso cannot be read", object: .init(pid: first.pid),
                cause: .init(error, attempted: "read of /proc/\(first.pid)/mem"), remedy: "Run Apus as root")
        }
    }

    private func clearing() throws(Problem) -> RestorePlan.PlacedBatch {
        let areas: [MappedArea]
        do throws(ProcfsError) { areas = try ProcessDirectory(first.pid).maps() } catch {
            throw Problem(
                .restoreFailed, "the mappings of the new process cannot be read (\(error))",
                object: .init(pid: first.pid), remedy: "Mount /proc where Apus runs")
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
        // The room of the root's rebuilding is not used yet.
        return .init(batch, at: root.rebuild.place)
    }
}
