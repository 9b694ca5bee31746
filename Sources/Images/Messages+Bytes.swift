public import ImageMessages
public import SystemPackage

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

// The format calls these fields text, and Linux lets them be any bytes but NUL: a file may be named in Latin-1. They are
// `bytes` in our schema, the same on the wire, and these accessors give them the type that they have in Linux.

extension RegFileEntry {
    /// The path as the owner of the descriptor sees it, or what the kernel calls an unnamed object.
    public var path: FilePath {
        get { FilePath(imageBytes: [UInt8](name)) }
        set { name = Data(newValue.imageBytes) }
    }
}

extension TaskCoreEntry {
    /// The name of the process (`comm`, at most 15 bytes, prctl(2) PR_SET_NAME).
    public var commBytes: [UInt8] {
        get { [UInt8](comm) }
        set { comm = Data(newValue) }
    }

    /// The name of the process for people: what is no UTF-8 is replaced.
    public var commText: String { String(decoding: comm, as: UTF8.self) }
}

extension ThreadCoreEntry {
    /// The name of the thread (`comm`, at most 15 bytes, prctl(2) PR_SET_NAME).
    public var commBytes: [UInt8] {
        get { [UInt8](comm) }
        set { comm = Data(newValue) }
    }

    /// The name of the thread for people: what is no UTF-8 is replaced.
    public var commText: String { String(decoding: comm, as: UTF8.self) }
}

extension MemfdInodeEntry {
    /// The name that was given to memfd_create(2).
    public var nameBytes: [UInt8] {
        get { [UInt8](name) }
        set { name = Data(newValue) }
    }
}

extension GhostFileEntry {
    /// Where a deleted symbolic link pointed.
    public var linkTarget: FilePath {
        get { FilePath(imageBytes: [UInt8](symlnkTarget)) }
        set { symlnkTarget = Data(newValue.imageBytes) }
    }
}

extension UnixSkEntry {
    /// The bound address: a path, an abstract name behind a NUL, or nothing.
    public var nameBytes: [UInt8] {
        get { [UInt8](name) }
        set { name = Data(newValue) }
    }

    /// From where a name that is no absolute path leads to the file.
    public var directory: FilePath? {
        get { hasNameDir ? FilePath(imageBytes: [UInt8](nameDir)) : nil }
        set { if let newValue { nameDir = Data(newValue.imageBytes) } else { clearNameDir() } }
    }
}

extension PacketMclist {
    /// The address of the group.
    public var addressBytes: [UInt8] {
        get { [UInt8](addr) }
        set { addr = Data(newValue) }
    }
}

extension SiginfoEntry {
    /// The kernel's siginfo_t of the dumping architecture, 128 bytes (sigaction(2)).
    public var bytes: [UInt8] {
        get { [UInt8](siginfo) }
        set { siginfo = Data(newValue) }
    }

    public init(bytes: [UInt8]) {
        self.init()
        self.bytes = bytes
    }
}

extension SeccompFilter {
    /// The program: `struct sock_filter` one after another (seccomp(2)).
    public var program: [UInt8] {
        get { [UInt8](filter) }
        set { filter = Data(newValue) }
    }
}

extension FhEntry {
    /// The name of the file, where it is known.
    public var filePath: FilePath {
        get { FilePath(imageBytes: [UInt8](path)) }
        set { path = Data(newValue.imageBytes) }
    }
}

extension FanotifyMountMarkEntry {
    /// Where it is mounted.
    public var filePath: FilePath {
        get { FilePath(imageBytes: [UInt8](path)) }
        set { path = Data(newValue.imageBytes) }
    }
}

extension TtyDataEntry {
    /// What had been typed and not been read.
    public var bytes: [UInt8] {
        get { [UInt8](data) }
        set { data = Data(newValue) }
    }
}

extension FilePath {
    /// A path from the bytes of an image. A path of the kernel holds no NUL; a forged one ends at its first.
    public init(imageBytes: [UInt8]) {
        let bytes = imageBytes.prefix { $0 != 0 }
        // SAFETY: the array ends in the NUL that this initialiser looks for.
        unsafe self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }

    /// The bytes of the path, without a terminator.
    public var imageBytes: [UInt8] {
        unsafe withPlatformString { start in
            // SAFETY: `start` is a NUL-terminated string for the duration of this closure, and is only read.
            var bytes: [UInt8] = []
            var next = unsafe start
            while unsafe next.pointee != 0 {
                bytes.append(UInt8(bitPattern: unsafe next.pointee))
                unsafe next += 1
            }
            return bytes
        }
    }
}
