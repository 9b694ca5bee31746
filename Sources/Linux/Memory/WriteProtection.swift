internal import CLinux
public import SystemPackage

/// Write protection of the memory of a process, of which the process notices nothing but the time of a page fault
/// (userfaultfd(2), UFFD_FEATURE_WP_ASYNC of ioctl_userfaultfd(2), since Linux 6.7).
///
/// The kernel takes the protection off a page at the first write to it; a scan of the page map tells which pages have
/// lost it (``PageMap/written(_:protecting:_:)``). The descriptor is made by the process, and can be used by whoever has a copy of
/// it. When the last copy is closed, all protection is gone.
public struct WriteProtection: ~Copyable, Sendable {
    private let file: OwnedDescriptor

    /// What userfaultfd(2) is called with, in the process: UFFD_USER_MODE_ONLY, which needs no rights. It limits only whose
    /// page faults are reported, and none is.
    public static let creationFlags: Int = 0x8_0000 | 0x800 | 1

    /// Takes over a copy of a descriptor that the process has just made.
    ///
    /// - Throws: EINVAL where the kernel cannot do it (before Linux 6.7).
    public init(owning file: consuming OwnedDescriptor) throws(Errno) {
        self.file = file
        // struct uffdio_api: the version, the features asked for, the requests there are.
        var api: (UInt64, UInt64, UInt64) = (0xaa, 1 << 15, 0)
        let handshake: UInt = 0xc018_aa3f
        let descriptor = UInt(signed: self.file.raw)
        _ = try withAddress(of: &api) { outcome(of: Int(SYS_ioctl), descriptor, handshake, $0) }
    }

    /// Makes it possible to protect the pages of a range; none is protected yet (UFFDIO_REGISTER).
    ///
    /// - Parameter range: of one mapping, whole pages.
    /// - Throws: EINVAL for a mapping that cannot be protected, EBUSY for one that somebody else watches, ESRCH where the
    ///   process has ended or executes another program.
    public func register(_ range: Range<UInt64>) throws(Errno) {
        // struct uffdio_register: start, length, mode (write protection), the requests there are.
        var request: (UInt64, UInt64, UInt64, UInt64) = (
            range.lowerBound, range.upperBound - range.lowerBound, 1 << 1, 0
        )
        let number: UInt = 0xc020_aa00
        let descriptor = UInt(signed: file.raw)
        _ = try withAddress(of: &request) { outcome(of: Int(SYS_ioctl), descriptor, number, $0) }
    }
}
