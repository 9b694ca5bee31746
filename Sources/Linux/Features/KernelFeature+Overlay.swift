internal import CLinux
internal import Glibc
internal import SystemPackage

extension KernelFeature {
    /// A child with a mount namespace of its own maps a file on an overlay; what its maps show must be that file.
    ///
    /// The overlay lies on a tmpfs over `/tmp`, since many file systems, an overlay above all, cannot be its upper
    /// layer.
    static func probeOverlayMaps() throws(Errno) -> Finding {
        let strings = CStrings([
            "none", "/", "/tmp", "tmpfs", "/tmp/l", "/tmp/u", "/tmp/w", "/tmp/m", "overlay",
            "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w", "/tmp/l/f", "/tmp/m/f",
        ])
        let size = UInt(HostFacts.pageSize)
        let child = try strings.withAddresses { text throws(Errno) in
            try ProbeChild {
                let (newMounts, privateRecursive): (UInt, UInt) = (0x20000, 0x44000)
                let make = UInt(O_CREAT | O_RDWR)
                var error = ProbeChild.error(of: SYS_unshare, newMounts)
                func then(_ number: Int32, _ a: UInt, _ b: UInt, _ c: UInt = 0, _ d: UInt = 0, _ e: UInt = 0) {
                    if error == 0 { error = ProbeChild.error(of: number, a, b, c, d, e) }
                }
                then(SYS_mount, text[0], text[1], 0, privateRecursive)
                then(SYS_mount, text[0], text[2], text[3])
                for directory in 4...7 { then(SYS_mkdirat, UInt(signed: AT_FDCWD), text[directory], 0o700) }
                let lower = apus_syscall(Int(SYS_openat), UInt(signed: AT_FDCWD), text[10], make, 0o600, 0, 0)
                then(SYS_ftruncate, UInt(bitPattern: lower), size)
                then(SYS_mount, text[8], text[7], text[8], 0, text[9])
                let file = apus_syscall(Int(SYS_openat), UInt(signed: AT_FDCWD), text[11], 0, 0, 0, 0)
                let mapped = apus_syscall(
                    Int(SYS_mmap), 0, size, UInt(PROT_READ), UInt(MAP_PRIVATE), UInt(bitPattern: file), 0)
                if error == 0 && mapped < 0 { error = apus_errno() }
                return error
            }
        }
        let root = ProcessDirectory(child.pid).path.appending("root")
        let status = try Files.status(of: root.appending("tmp/m/f"))
        let areas = (try? ProcessDirectory(child.pid).maps()) ?? []
        guard let area = areas.first(where: { $0.name == .file(Array("/tmp/m/f".utf8)) }) else {
            return .missing("the mapping shows another path")
        }
        return area.device == status.device && area.inode == status.inode
            ? .present : .missing("the mapping shows another device or inode")
    }
}

/// Strings that end in a NUL, at addresses that a child can use.
struct CStrings {
    private var bytes: [UInt8] = []
    private var offsets: [UInt] = []

    init(_ strings: [String]) {
        for string in strings {
            offsets.append(UInt(bytes.count))
            bytes += Array(string.utf8) + [0]
        }
    }

    /// The addresses hold while `body` runs, and in children made by it.
    func withAddresses(_ body: ([UInt]) throws(Errno) -> ProbeChild) throws(Errno) -> ProbeChild {
        var child: ProbeChild?
        var failure: Errno?
        withAddress(ofBytes: bytes) { base, _ in
            do throws(Errno) {
                child = try body(offsets.map { base + $0 })
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard let child = child.take() else { throw .noChildProcess }
        return child
    }
}
