internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// In whose name a thread acts, and what it may do.
extension Planner {
    /// Takes on the identity of a thread.
    ///
    /// The order follows from what takes rights away (capabilities(7)): a change of user would, but for
    /// SECBIT_NO_SETUID_FIXUP; what is to be inheritable must be in the bounding set when it becomes so; an ambient
    /// capability is raised from the inheritable ones, which SECBIT_NO_CAP_AMBIENT_RAISE forbids; the secure bits and
    /// the bounding set need CAP_SETPCAP, which goes last.
    func composeCredentials(_ creds: CredsEntry, of task: TaskImages, in batch: inout Batch) {
        let (setSecurebits, dropBound, ambient, raise, clearAll, noNewPrivs) = (28, 24, 47, 2, 4, 38)
        let noSetuidFixup: Batch.Argument = 4
        batch.call(
            Int(SYS_prctl), .int(setSecurebits), noSetuidFixup, for: "keep its capabilities for the change of user")
        composeIds(creds, of: task, in: &batch)
        composeCapabilities(
            effective: words(host.capabilities), permitted: words(host.capabilities), inheritable: creds.capInh,
            for: "set its inheritable capabilities", in: &batch)
        for capability in 0...Int(host.lastCapability) where !has(capability, creds.capBnd) {
            batch.call(Int(SYS_prctl), .int(dropBound), .int(capability), for: "drop capability \(capability)")
        }
        batch.call(Int(SYS_prctl), .int(ambient), .int(clearAll), 0, 0, 0, for: "clear its ambient capabilities")
        for capability in 0...Int(host.lastCapability) where has(capability, creds.capAmb) {
            batch.call(
                Int(SYS_prctl), .int(ambient), .int(raise), .int(capability), 0, 0,
                for: "raise ambient capability \(capability)")
        }
        batch.call(Int(SYS_prctl), .int(setSecurebits), .value(UInt64(creds.secbits)), for: "set its secure bits")
        composeCapabilities(
            effective: creds.capEff, permitted: creds.capPrm, inheritable: creds.capInh, for: "set its capabilities",
            in: &batch)
        if creds.noNewPrivs != 0 { batch.call(Int(SYS_prctl), .int(noNewPrivs), 1, 0, 0, 0, for: "set no_new_privs") }
    }

    private func composeIds(_ creds: CredsEntry, of task: TaskImages, in batch: inout Batch) {
        var list: [UInt8] = []
        for group in creds.groups { list.append(littleEndian: group) }
        let groups = batch.buffer(list)
        batch.call(Int(SYS_setgroups), .int(creds.groups.count), .address(groups), for: "set its groups")
        batch.call(
            Int(SYS_setresgid), .value(UInt64(creds.gid)), .value(UInt64(creds.egid)), .value(UInt64(creds.sgid)),
            for: "set its group to \(creds.gid)")
        // Only a change of identity makes a process "suidsafe" (PR_SET_DUMPABLE of prctl(2)), and here may be none.
        if task.memory?.dumpable == 2 { batch.call(Int(SYS_setfsgid), .value(UInt64(creds.fsgid ^ 1))) }
        batch.call(Int(SYS_setfsgid), .value(UInt64(creds.fsgid)))
        batch.call(
            Int(SYS_setresuid), .value(UInt64(creds.uid)), .value(UInt64(creds.euid)), .value(UInt64(creds.suid)),
            for: "set its user to \(creds.uid)")
        batch.call(Int(SYS_setfsuid), .value(UInt64(creds.fsuid)))
    }

    private func composeCapabilities(
        effective: [UInt32], permitted: [UInt32], inheritable: [UInt32], for purpose: String, in batch: inout Batch
    ) {
        var header: [UInt8] = []
        header.append(littleEndian: UInt32(0x2008_0522))  // _LINUX_CAPABILITY_VERSION_3
        header.append(littleEndian: UInt32(0))
        let version = batch.buffer(header)
        var sets: [UInt8] = []
        for word in 0..<2 {
            for set in [effective, permitted, inheritable] {
                sets.append(littleEndian: word < set.count ? set[word] : 0)
            }
        }
        let capabilities = batch.buffer(sets)
        batch.call(Int(SYS_capset), .address(version), .address(capabilities), for: purpose)
    }

    /// Whether it may be dumped and traced. Every thread sets it behind its own change of user: the last one to change
    /// resets it for all.
    ///
    /// 2 cannot be set: it is what a change of user leaves behind where the host has fs.suid_dumpable so
    /// (proc_sys_fs(5)). Elsewhere the process becomes not dumpable at all, which allows less and nothing more.
    func composeDumpable(_ task: TaskImages, in batch: inout Batch) {
        guard let memory = task.memory, memory.hasDumpable else { return }
        let (setDumpable, suidSafe): (Int, Int32) = (4, 2)
        if memory.dumpable == suidSafe && host.dumpableAfterChangeOfUser == suidSafe { return }
        batch.call(
            Int(SYS_prctl), .int(setDumpable), memory.dumpable == 1 ? 1 : 0, for: "set whether it may be dumped")
    }

    /// The lower half first, as messages have it.
    private func words(_ set: UInt64) -> [UInt32] {
        [UInt32(truncatingIfNeeded: set), UInt32(truncatingIfNeeded: set >> 32)]
    }

    func has(_ capability: Int, _ set: [UInt32]) -> Bool {
        capability / 32 < set.count && set[capability / 32] & (1 << UInt32(capability % 32)) != 0
    }
}
