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

    /// Has a queue without watches tell that events were lost (IN_Q_OVERFLOW), and nothing else.
    ///
    /// The kernel says so when more events come than may wait. So as many are made, of two files that nobody else knows, and
    /// taken out again, but for the last.
    ///
    /// - Returns: false where too many may wait, or the next watch could not get any number afterwards.
    public static func overflow(_ watcher: Int32) throws(Errno) -> Bool {
        let (attributes, eventSize, most): (UInt32, Int, Int) = (0x4, 16, 1 << 20)  // IN_ATTRIB, struct inotify_event
        let text = try contents(of: "/proc/sys/fs/inotify/max_queued_events")
        guard let limit = Int(String(decoding: text, as: UTF8.self).filter { $0.isNumber }), limit <= most else {
            return false
        }
        do throws(Errno) { try setNextWatch(1, of: watcher) } catch { return false }
        let closeOnExec: UInt32 = 1  // MFD_CLOEXEC
        let one = try memory(named: "watched", flags: closeOnExec)
        let other = try memory(named: "watched", flags: closeOnExec)
        var watches: [Int32] = []
        for file in [one.raw, other.raw] {
            watches.append(try watch(FilePath("/proc/self/fd/\(file)"), for: attributes, with: watcher))
        }
        // Two events of one watch behind each other would be one.
        for count in 0...limit { try setMode(count % 2 == 0 ? one.raw : other.raw, 0o600) }
        for number in watches { try unwatch(number, of: watcher) }
        var left = limit
        while left > 0 { left -= try readSome(watcher, atMost: min(left, 4096) * eventSize).count / eventSize }
        return try readableBytes(watcher) == eventSize
    }

    /// fanotify_init(2), close-on-exec whatever the flags say: the kernel goes on showing them as they were given.
    ///
    /// - Parameters:
    ///   - flags: FAN_CLASS_*, FAN_REPORT_* and the like.
    ///   - eventFlags: of open(2), for the files that events hold.
    /// - Throws: EPERM without CAP_SYS_ADMIN, unless the flags do without; EINVAL for flags that the kernel does not know.
    public static func notifier(_ flags: UInt32, eventFlags: UInt32) throws(Errno) -> OwnedDescriptor {
        let made = OwnedDescriptor(
            owning: Int32(try call(Int(SYS_fanotify_init), UInt(flags), UInt(eventFlags))))
        return try duplicate(made.raw)
    }

    /// fanotify_mark(2).
    ///
    /// - Parameters:
    ///   - path: a file, or any of a mount or a file system.
    ///   - flags: FAN_MARK_*.
    public static func mark(_ path: FilePath, _ flags: UInt32, for mask: UInt64, with notifier: Int32) throws(Errno) {
        let here = UInt(signed: Int32(-100))  // AT_FDCWD
        _ = try withAddress(of: path) {
            outcome(of: Int(SYS_fanotify_mark), UInt(signed: notifier), UInt(flags), UInt(mask), here, $0)
        }.get()
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
