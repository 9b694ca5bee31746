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
    func composeCredentials(_ creds: CredsEntry, of task: TaskImages, in batch: inout Batch) {
        let (setSecurebits, dropBound, ambient, raise, clearAll, noNewPrivs) = (28, 24, 47, 2, 4, 38)
        // While users change, capabilities must stay: SECBIT_NO_SETUID_FIXUP.
        batch.call(Int(SYS_prctl), .int(setSecurebits), 4, for: "keep its capabilities for the change of user")
        var list: [UInt8] = []
        for group in creds.groups { list.append(littleEndian: group) }
        let groups = batch.buffer(list)
        batch.call(Int(SYS_setgroups), .int(creds.groups.count), .address(groups), for: "set its groups")
        batch.call(
            Int(SYS_setresgid), .value(UInt64(creds.gid)), .value(UInt64(creds.egid)), .value(UInt64(creds.sgid)),
            for: "set its group to \(creds.gid)")
        batch.call(Int(SYS_setfsgid), .value(UInt64(creds.fsgid)))
        batch.call(
            Int(SYS_setresuid), .value(UInt64(creds.uid)), .value(UInt64(creds.euid)), .value(UInt64(creds.suid)),
            for: "set its user to \(creds.uid)")
        batch.call(Int(SYS_setfsuid), .value(UInt64(creds.fsuid)))
        for capability in 0...Int(host.lastCapability) where !has(capability, creds.capBnd) {
            batch.call(Int(SYS_prctl), .int(dropBound), .int(capability), for: "drop capability \(capability)")
        }
        batch.call(Int(SYS_prctl), .int(setSecurebits), .value(UInt64(creds.secbits)), for: "set its secure bits")
        var header: [UInt8] = []
        header.append(littleEndian: UInt32(0x2008_0522))  // _LINUX_CAPABILITY_VERSION_3
        header.append(littleEndian: UInt32(0))
        let version = batch.buffer(header)
        var sets: [UInt8] = []
        for word in 0..<2 {
            for set in [creds.capEff, creds.capPrm, creds.capInh] {
                sets.append(littleEndian: word < set.count ? set[word] : 0)
            }
        }
        let capabilities = batch.buffer(sets)
        batch.call(Int(SYS_capset), .address(version), .address(capabilities), for: "set its capabilities")
        batch.call(Int(SYS_prctl), .int(ambient), .int(clearAll), 0, 0, 0, for: "clear its ambient capabilities")
        for capability in 0...Int(host.lastCapability) where has(capability, creds.capAmb) {
            batch.call(
                Int(SYS_prctl), .int(ambient), .int(raise), .int(capability), 0, 0,
                for: "raise ambient capability \(capability)")
        }
        if creds.noNewPrivs != 0 { batch.call(Int(SYS_prctl), .int(noNewPrivs), 1, 0, 0, 0, for: "set no_new_privs") }
    }

    func has(_ capability: Int, _ set: [UInt32]) -> Bool {
        capability / 32 < set.count && set[capability / 32] & (1 << UInt32(capability % 32)) != 0
    }
}
