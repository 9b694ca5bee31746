public import Images
public import Linux

/// The identity and the rights of a thread (credentials(7), capabilities(7)).
public enum Credentials {
    /// The message.
    ///
    /// - Parameters:
    ///   - status: of the thread.
    ///   - secureBits: which `/proc` does not show.
    public static func entry(_ status: TaskStatus, secureBits: UInt32) -> CredsEntry {
        var entry = CredsEntry()
        entry.uid = status.uid.real
        entry.euid = status.uid.effective
        entry.suid = status.uid.saved
        entry.fsuid = status.uid.fileSystem
        entry.gid = status.gid.real
        entry.egid = status.gid.effective
        entry.sgid = status.gid.saved
        entry.fsgid = status.gid.fileSystem
        entry.groups = status.groups
        entry.secbits = secureBits
        entry.capInh = words(status.capabilities.inheritable)
        entry.capPrm = words(status.capabilities.permitted)
        entry.capEff = words(status.capabilities.effective)
        entry.capBnd = words(status.capabilities.bounding)
        entry.capAmb = words(status.capabilities.ambient ?? 0)
        if status.noNewPrivileges == true { entry.noNewPrivs = 1 }
        return entry
    }

    /// The lower half first.
    private static func words(_ set: UInt64) -> [UInt32] {
        [UInt32(truncatingIfNeeded: set), UInt32(truncatingIfNeeded: set >> 32)]
    }
}
