internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a process has open, and where it is.
extension Planner {
    mutating func composeDirectories(_ task: TaskImages, in batch: inout Batch) {
        guard let fs = task.fs else { return }
        if let root = images.files.regular(fs.rootID), root.path.string != "/",
            let descriptor = descriptor(.init(.reg, fs.rootID))
        {
            fetch(descriptor, in: &batch)
            let dot = batch.string(Array(".".utf8))
            batch.call(Int(SYS_fchdir), .signed(descriptor), for: "go to its root directory \(root.path)")
            batch.call(Int(SYS_chroot), .address(dot), for: "change its root directory to \(root.path)")
        }
        if let descriptor = descriptor(.init(.reg, fs.cwdID)) {
            fetch(descriptor, in: &batch)
            batch.call(
                Int(SYS_fchdir), .signed(descriptor),
                for: "go to its working directory \(images.files.regular(fs.cwdID)?.path.string ?? "")")
        }
        if fs.hasUmask { batch.call(Int(SYS_umask), .value(UInt64(fs.umask)), for: "set its umask") }
    }

    /// Every descriptor gets its number; whatever else the husk had is closed, but for the channel.
    ///
    /// - Parameter sharers: the tasks whose channels stay open: all that have this table.
    mutating func composeDescriptors(_ index: Int, keeping sharers: [Int], in batch: inout Batch) {
        let task = images.tasks[index]
        composeEpollSets(index, in: &batch)
        var kept: [Int32] = sharers.map { plan.tasks[$0].channel }
        for entry in task.descriptors {
            let number = Int32(bitPattern: entry.fd)
            guard let source = descriptor(.init(entry.type, entry.id)) else { continue }
            kept.append(number)
            noteTerminal(entry, source)
            fetch(source, in: &batch)
            open(source, as: number, closeOnExec: entry.flags & 1 != 0, in: &batch)
            announce(.init(entry.type, entry.id), as: number, in: &batch)
        }
        var first: UInt32 = 0
        for number in kept.sorted().map(UInt32.init) {
            if number > first {
                batch.call(
                    Int(SYS_close_range), .value(UInt64(first)), .value(UInt64(number - 1)), 0,
                    for: "close what is not its own")
            }
            first = number + 1
        }
        batch.call(
            Int(SYS_close_range), .value(UInt64(first)), .value(UInt64(UInt32.max)), 0, for: "close what is not its own"
        )
        composeLocks(index, in: &batch)
    }

    private func open(_ source: Int32, as number: Int32, closeOnExec: Bool, in batch: inout Batch) {
        if source != number {
            batch.call(
                Int(SYS_dup3), .signed(source), .signed(number), .value(closeOnExec ? UInt64(O_CLOEXEC) : 0),
                for: "open descriptor \(number)")
        } else if closeOnExec {
            batch.call(
                Int(SYS_fcntl), .signed(number), .int(Int(F_SETFD)), .int(Int(FD_CLOEXEC)),
                for: "close descriptor \(number) at execve")
        }
    }

    /// A signal that tells of a description (O_ASYNC with F_SETSIG) names the number by which that was asked for: it is
    /// asked for anew by one that the description has in the tree.
    private mutating func announce(_ key: FileTable.Key, as number: Int32, in batch: inout Batch) {
        guard let flags = DescriptionPlans.asynchronousFlags(of: key, in: images), announced.insert(key).inserted else {
            return
        }
        let silent = flags & ~UInt32(O_ASYNC)
        for (flags, purpose) in [(silent, ""), (flags, "have descriptor \(number) announced by signals")] {
            batch.call(
                Int(SYS_fcntl), .signed(number), .int(Int(F_SETFL)), .value(UInt64(flags)), for: purpose)
        }
    }

    private mutating func noteTerminal(_ entry: FdinfoEntry, _ source: Int32) {
        guard entry.type == .tty, let file = images.files[entry], file.hasTty,
            let info = images.terminals[file.tty.ttyInfoID], info.hasTermios,
            StoredTerminal.master(of: info, in: images) == nil,
            !plan.terminals.contains(where: { $0.info.id == info.id })
        else { return }
        if let key = OutsideTerminal.keyLeftOutside(info, in: images) {
            plan.givenTerminals[key] = info.type == .pty ? info : plan.givenTerminals[key] ?? info
            return
        }
        plan.terminals.append(.init(descriptor: source, info: info))
        let group = Int32(bitPattern: info.pgrp)
        if images.tasks.contains(where: { $0.processGroup == group && $0.pid == group }) { plan.foreground = group }
    }
}
