internal import CLinux
public import SystemPackage

/// Missing pages of the memory of a process, which somebody else brings (userfaultfd(2), ioctl_userfaultfd(2)).
///
/// Whoever touches a page that is not there waits until it is put there, in its own code or within a system call. The
/// descriptor is made by the process; whoever has a copy of it serves. When the last copy is closed the kernel gives
/// pages of zeros to all who wait, and to all who come.
public final class UserFaults: Sendable {
    private let file: OwnedDescriptor

    /// What userfaultfd(2) is called with, in the process: O_CLOEXEC and O_NONBLOCK. Faults within system calls count too,
    /// for which the process needs CAP_SYS_PTRACE, or `vm.unprivileged_userfaultfd`.
    public static let creationFlags: Int = 0x8_0000 | 0x800

    /// What has happened.
    public enum Event: Sendable, Equatable {
        /// Somebody waits for the page at an address.
        case fault(UInt64)
        /// The process has made another, whose memory is a copy: it has a descriptor of its own, which is now the caller's.
        case fork(Int32)
        /// Memory was moved (mremap(2)).
        case moved(from: UInt64, to: UInt64, size: UInt64)
        /// The content of memory was given up (madvise(2)).
        case dropped(Range<UInt64>)
        /// Memory was unmapped.
        case unmapped(Range<UInt64>)
    }

    /// Takes over a descriptor that somebody has made and that nothing else will close.
    public init(owning file: consuming OwnedDescriptor) { self.file = file }

    /// The number of the descriptor.
    public var raw: Int32 { file.raw }

    /// Makes one for this process itself, to see whether it may.
    ///
    /// - Throws: EPERM, ENOSYS.
    public static func make() throws(Errno) -> UserFaults {
        UserFaults(owning: OwnedDescriptor(owning: Int32(try call(Int(SYS_userfaultfd), UInt(creationFlags)))))
    }

    /// Asks for events beside faults: forks, moves, memory given up and unmapped (UFFDIO_API). To be called first.
    ///
    /// - Throws: EINVAL where the kernel does not tell them, EPERM without CAP_SYS_PTRACE.
    public func begin() throws(Errno) {
        // struct uffdio_api: the version, the features asked for, the requests there are.
        let events: UInt64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6
        var api: (UInt64, UInt64, UInt64) = (0xaa, events, 0)
        try request(0xc018_aa3f, &api)
    }

    /// From now on whoever touches a page of a mapping that is not there waits for it (UFFDIO_REGISTER).
    ///
    /// - Throws: EINVAL for memory of another kind, EBUSY for memory that somebody else watches, ENOMEM where the process has ended.
    public func register(_ range: Range<UInt64>) throws(Errno) {
        var register: (UInt64, UInt64, UInt64, UInt64) = (
            range.lowerBound, range.upperBound - range.lowerBound, 1 << 0, 0
        )
        try request(0xc020_aa00, &register)
    }

    /// Puts pages in their place and wakes who waits for them (UFFDIO_COPY).
    ///
    /// - Returns: how many bytes were put, and why not all.
    @unsafe public func put(
        _ bytes: UnsafeRawBufferPointer, at address: UInt64
    ) -> (done: UInt64, error: Errno?) {
        // struct uffdio_copy: to, from, length, mode, what was copied or the error.
        var copy: (UInt64, UInt64, UInt64, UInt64, Int64) = (
            address, UInt64(UInt(bitPattern: bytes.baseAddress)), UInt64(bytes.count), 0, 0
        )
        do throws(Errno) {
            try request(0xc028_aa03, &copy)
            return (UInt64(bytes.count), nil)
        } catch {
            return (copy.4 > 0 ? UInt64(copy.4) : 0, error)
        }
    }

    /// Puts the page of zeros at an address and wakes who waits for it (UFFDIO_ZEROPAGE).
    ///
    /// - Throws: EAGAIN while an event is under way, EEXIST where a page is, ENOENT where nothing is mapped or watched,
    ///   ESRCH where the process has ended.
    public func putZeros(at address: UInt64, size: UInt64) throws(Errno) {
        // struct uffdio_zeropage: start, length, mode, what was done or the error.
        var zero: (UInt64, UInt64, UInt64, Int64) = (address, size, 0, 0)
        try request(0xc020_aa04, &zero)
    }

    /// Has whoever waits for a page in a range look again (UFFDIO_WAKE).
    public func wake(_ range: Range<UInt64>) throws(Errno) {
        var woken: (UInt64, UInt64) = (range.lowerBound, range.upperBound - range.lowerBound)
        try request(0x8010_aa02, &woken)
    }

    /// Whether the memory has gone, with all processes that had it.
    ///
    /// Asks for a page of zeros at the end of the address space of 64-bit programs, where no more than the stack can be, which
    /// is not watched: it fails in any case, and how tells the two cases apart (ioctl_userfaultfd(2)).
    public var hasEnded: Bool {
        var zero: (UInt64, UInt64, UInt64, Int64) = (0x7fff_ffff_e000, 0x1000, 0, 0)
        do throws(Errno) {
            try request(0xc020_aa04, &zero)
            return false
        } catch {
            return error == .noSuchProcess
        }
    }

    private func request<Value>(_ number: UInt, _ value: inout Value) throws(Errno) {
        let descriptor = UInt(signed: file.raw)
        _ = try withAddress(of: &value) { outcome(of: Int(SYS_ioctl), descriptor, number, $0) }
    }

    /// What has happened since the last time, without waiting.
    ///
    /// - Throws: what read(2) says but for EAGAIN.
    public func events() throws(Errno) -> [Event] {
        let (size, most) = (32, 64)
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try Files.readSome(file.raw, atMost: size * most)
        } catch .wouldBlock {
            return []
        }
        return stride(from: 0, to: bytes.count - size + 1, by: size).compactMap { Self.event(bytes[$0..<$0 + size]) }
    }

    /// struct uffd_msg: the event, seven bytes of nothing, and what belongs to it.
    static func event(_ message: ArraySlice<UInt8>) -> Event? {
        func word(_ index: Int) -> UInt64 { message.integer(at: 8 + 8 * index, of: UInt64.self) }
        switch message.first {
        case 0x12: return .fault(word(1))
        case 0x13: return .fork(Int32(truncatingIfNeeded: word(0)))
        case 0x14: return .moved(from: word(0), to: word(1), size: word(2))
        case 0x15 where word(0) < word(1): return .dropped(word(0)..<word(1))
        case 0x16 where word(0) < word(1): return .unmapped(word(0)..<word(1))
        default: return nil
        }
    }
}
