internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Who is told by a signal that a description has become ready (F_SETOWN, F_SETSIG of fcntl(2)).
enum FileOwner {
    /// F_GETOWNER_UIDS: the ids with which the owner was set; needs CONFIG_CHECKPOINT_RESTORE.
    private static let getOwnerUIDs: UInt = 17

    /// Asks a descriptor of Apus.
    ///
    /// - Throws: EBADF for O_PATH.
    static func capture(_ descriptor: Int32) throws(Errno) -> FownEntry {
        var entry = none
        let owner = try Files.owner(descriptor)
        entry.signum = UInt32(bitPattern: try Files.signal(descriptor))
        guard owner.id != 0 else { return entry }
        entry.pid = UInt32(bitPattern: owner.id)
        // The kernel's enum pid_type has the same numbers as F_OWNER_*: thread 0, process 1, group 2.
        entry.pidType = UInt32(bitPattern: owner.kind.rawValue)
        let ids = try ownerIDs(descriptor)
        entry.uid = ids.0
        entry.euid = ids.1
        return entry
    }

    /// Nobody.
    static var none: FownEntry {
        var entry = FownEntry()
        entry.uid = 0
        entry.euid = 0
        entry.signum = 0
        entry.pidType = 0
        entry.pid = 0
        return entry
    }

    private static func ownerIDs(_ descriptor: Int32) throws(Errno) -> (UInt32, UInt32) {
        var ids: (UInt32, UInt32) = (0, 0)
        let result: Result<Int, Errno> = unsafe withUnsafeMutablePointer(to: &ids) { pointer in
            // The kernel writes the two ids during the call.
            let address = UInt(bitPattern: pointer)
            return Result { () throws(Errno) in
                try call(Int(SYS_fcntl), UInt(signed: descriptor), getOwnerUIDs, address)
            }
        }
        // A kernel without the request has no owner's ids to restore either.
        do throws(Errno) { _ = try result.get() } catch { if error != .invalidArgument { throw error } }
        return ids
    }
}
