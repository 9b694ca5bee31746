public import Diagnostics
public import Linux

/// What a mapping is, as far as carrying it is concerned.
public enum AreaKind: Sendable, Equatable {
    /// Private memory of nobody else; the heap and the stack among it.
    case privateAnonymous
    case heap
    /// A private mapping of a file, of which the changed pages are stored.
    case privateFile
    /// A shared mapping of a file, which needs no pages.
    case sharedFile
    /// A mapping of shared anonymous memory or of a memfd; shared or private.
    case sharedMemory
    /// An attached segment of System V shared memory.
    case systemV
    /// A ring of asynchronous I/O (io_setup(2)).
    case asyncIO
    /// The memory of an io_uring (io_uring_setup(2)), which is carried with its descriptor.
    case requestRing
    /// The rings of a packet socket (packet(7)), which are carried with its descriptor.
    case packetRing
    /// Code and data of the kernel.
    case vdso, vvar, vsyscall
}

extension MappedArea {
    /// The kind of the mapping.
    ///
    /// - Throws: `unsupported-memory`.
    public func kind(of pid: Int32, process: String) throws(Problem) -> AreaKind {
        switch name {
        case .vdso: return .vdso
        case .vvar, .vvarClock: return .vvar
        case .vsyscall: return .vsyscall
        case .none, .heap, .stack, .anonymous, .file, .sharedAnonymous, .other: break
        }
        if isRequestRing { return .requestRing }
        if isPacketRing { return .packetRing }
        if let refusal = MemoryRefusal.find(self) { throw refusal.problem(self, pid: pid, process: process) }
        switch name {
        case .heap: return .heap
        case .none, .stack, .anonymous: return .privateAnonymous
        case .sharedAnonymous: return .sharedMemory
        case .file(let path):
            if isSharedMemory(path) { return .sharedMemory }
            if isSegment(path) {
                guard details?.flags.contains(.hugeTLB) ?? false else { return .systemV }
                throw MemoryRefusal.hugeSegment.problem(self, pid: pid, process: process)
            }
            if path.elementsEqual("/[aio] (deleted)".utf8), device.major == 0, isShared { return .asyncIO }
            if path.starts(with: "/anon_hugepage".utf8) { return isShared ? .sharedMemory : .privateAnonymous }
            return isShared ? .sharedFile : .privateFile
        case .other(let text):
            throw MemoryRefusal.unknown(String(decoding: text, as: UTF8.self)).problem(self, pid: pid, process: process)
        case .vdso, .vvar, .vvarClock, .vsyscall: preconditionFailure("answered above")
        }
    }

    /// Whether it is the memory of an io_uring.
    public var isRequestRing: Bool {
        guard case .other(let text) = name else { return false }
        return isShared && text.elementsEqual("anon_inode:[io_uring]".utf8)
    }

    /// Whether it is memory of a socket, as the rings of packet sockets are.
    public var isPacketRing: Bool {
        guard case .other(let text) = name else { return false }
        return isShared && text.starts(with: "socket:".utf8)
    }

    /// Whether it is an attached segment of System V shared memory (sysvipc(7)); its inode is the segment's id.
    public var isSegment: Bool {
        guard case .file(let path) = name else { return false }
        return isSegment(path)
    }

    /// `/SYSV0000002a (deleted)`, in the kernel's own file system of device 0:N that no user can put a file into.
    private func isSegment(_ path: [UInt8]) -> Bool {
        path.starts(with: "/SYSV".utf8) && path.suffix(10).elementsEqual(" (deleted)".utf8) && path.count == 23
            && device.major == 0 && isShared
    }

    /// Whether it is shared memory without a name in any file system: anonymous, or a memfd.
    public var isSharedMemory: Bool {
        switch name {
        case .sharedAnonymous: true
        case .file(let path): isSharedMemory(path) || (isShared && path.starts(with: "/anon_hugepage".utf8))
        case .none, .anonymous, .heap, .stack, .vdso, .vvar, .vvarClock, .vsyscall, .other: false
        }
    }

    /// Shared anonymous memory shows as the deleted file of this name, memfds below their own prefix.
    private func isSharedMemory(_ path: [UInt8]) -> Bool {
        path.elementsEqual("/dev/zero (deleted)".utf8) || path.starts(with: "/memfd:".utf8)
    }
}

/// Mappings that cannot be carried.
struct MemoryRefusal {
    let what: String
    let remedy: String

    static let hugeSegment = MemoryRefusal(
        what: "System V shared memory of huge pages", remedy: "Run the program without SHM_HUGETLB")

    private static let unmap = "Have the program unmap it before the dump"

    static func unknown(_ name: String) -> MemoryRefusal {
        MemoryRefusal(what: "memory that the kernel calls \(name)", remedy: unmap)
    }

    /// By the flags of the mapping (VmFlags of proc_pid_smaps(5)).
    private static let flagged: [(VmFlags, MemoryRefusal)] = [
        (
            .shadowStack,
            .init(
                what: "a shadow stack",
                remedy: "Run the program without shadow stacks (GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK)")
        ),
        (
            [.faultMissing, .faultWriteProtected, .faultMinor],
            .init(what: "memory whose page faults the program handles itself (userfaultfd)", remedy: unmap)
        ),
        (.synchronous, .init(what: "persistent memory (MAP_SYNC)", remedy: unmap)),
        (.nonlinear, .init(what: "a mapping out of order (remap_file_pages)", remedy: unmap)),
        (.memoryTags, .init(what: "memory with tags", remedy: unmap)),
        (
            [.io, .pageFrames],
            .init(what: "memory of a device", remedy: "Have the program close the device before the dump")
        ),
    ]

    /// By the name.
    private static let named: [(String, MemoryRefusal)] = [
        (
            "/secretmem",
            .init(what: "secret memory (memfd_secret)", remedy: "It is hidden from everybody, and cannot be carried")
        ),
        (
            "anon_inode:[perf_event]",
            .init(what: "a performance counter", remedy: "Stop profiling (perf) before the dump")
        ),
        (
            "socket:",
            .init(what: "private memory of a socket", remedy: "Have the program close the socket before the dump")
        ),
        ("[uprobes]", .init(what: "user-level probes", remedy: "Remove the probes before the dump")),
    ]

    static func find(_ area: MappedArea) -> MemoryRefusal? {
        let text: [UInt8]
        switch area.name {
        case .file(let bytes), .other(let bytes): text = bytes
        case .none, .heap, .stack, .vdso, .vvar, .vvarClock, .vsyscall, .anonymous, .sharedAnonymous: text = []
        }
        if let (_, refusal) = named.first(where: { text.starts(with: $0.0.utf8) }) { return refusal }
        guard let details = area.details else { return nil }
        if let (_, refusal) = flagged.first(where: { !details.flags.isDisjoint(with: $0.0) }) { return refusal }
        return nil
    }

    func problem(_ area: MappedArea, pid: Int32, process: String) -> Problem {
        let path = area.path.map { String(decoding: $0.bytes, as: UTF8.self) }
        return Problem(
            .unsupportedMemory, "\(what) cannot be carried",
            object: .init(pid: pid, process: process, path: path, address: area.range.lowerBound), remedy: remedy)
    }
}

extension Problem.Code {
    /// A mapping that cannot be carried.
    public static let unsupportedMemory: Self = "unsupported-memory"
}
