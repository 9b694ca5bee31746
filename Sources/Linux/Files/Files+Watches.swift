internal import CLinux
public import SystemPackage

/// inotify(7).
extension Files {
    /// inotify_init1(2), close-on-exec.
    public static func watcher() throws(Errno) -> OwnedDescriptor {
        let flags = UInt(signed: OpenFlags.closeOnExec.rawValue)
        return OwnedDescriptor(owning: Int32(try call(Int(SYS_inotify_init1), flags)))
    }

    /// inotify_add_watch(2).
    ///
    /// - Returns: the number of the watch.
    public static func watch(_ path: FilePath, for mask: UInt32, with watcher: Int32) throws(Errno) -> Int32 {
        let result = withAddress(of: path) {
            outcome(of: Int(SYS_inotify_add_watch), UInt(signed: watcher), $0, UInt(mask))
        }
        return Int32(try result.get())
    }

    /// inotify_rm_watch(2).
    public static func unwatch(_ number: Int32, of watcher: Int32) throws(Errno) {
        try call(Int(SYS_inotify_rm_watch), UInt(signed: watcher), UInt(signed: number))
    }

    /// INOTIFY_IOC_SETNEXTWD, since Linux 4.16: the number that the next watch gets.
    ///
    /// - Throws: ENOTTY on a kernel without CONFIG_CHECKPOINT_RESTORE.
    public static func setNextWatch(_ number: Int32, of watcher: Int32) throws(Errno) {
        let setNext: UInt = 0x4004_4900
        try call(Int(SYS_ioctl), UInt(signed: watcher), setNext, UInt(signed: number))
    }

    /// open_by_handle_at(2) with O_PATH: a file by the handle that its file system gives it.
    ///
    /// - Parameters:
    ///   - mount: a descriptor of any file of the file system.
    ///   - kind: the type of the handle, which the file system knows.
    /// - Throws: EPERM without CAP_DAC_READ_SEARCH; ESTALE where there is no such file.
    public static func open(handle: [UInt8], kind: Int32, mount: Int32) throws(Errno) -> OwnedDescriptor {
        var block: [UInt8] = []
        for value in [UInt32(handle.count), UInt32(bitPattern: kind)] { block.append(integer: value) }
        block += handle
        let flags = UInt(signed: OpenFlags.path.union(.closeOnExec).rawValue)
        let result = withAddress(ofBytes: block) { address, _ in
            outcome(of: Int(SYS_open_by_handle_at), UInt(signed: mount), address, flags)
        }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }
}
