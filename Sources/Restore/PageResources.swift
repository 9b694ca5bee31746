internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// A pages file, from which the tasks read their memory.
struct PagesFile: Resource {
    let directory: ImageDirectory
    let id: UInt32

    private var path: FilePath { directory.path.appending("pages-\(id).img") }
    var description: String { "\(path) to read" }

    func obstacles(at site: RestoreSite) -> [Problem] { [] }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            return try Files.open(FilePath("pages-\(id).img"), [.readOnly, .noFollow], at: directory.descriptor)
        } catch {
            throw Problem(
                .fileMissing, "the image file cannot be opened", object: .init(path: path.string),
                cause: .init(error, attempted: "openat(\"\(path)\")"), remedy: "Copy the images again, all of them")
        }
    }

    /// A piece of it; nil where it cannot be read.
    func bytes(at offset: UInt64, count: UInt64) -> [UInt8]? {
        guard let file = try? Files.open(FilePath("pages-\(id).img"), [.readOnly, .noFollow], at: directory.descriptor) else {
            return nil
        }
        return try? Files.read(file.raw, count: Int(count), at: offset)
    }
}

/// Shared anonymous memory: made by Apus, filled by Apus, mapped by every task that had it mapped.
struct SharedMemory: Resource {
    let id: UInt64
    let size: UInt64
    let segments: [PageLayers.Segment]
    let layers: PageLayers

    var description: String { "shared memory \(id) of \(size) bytes" }

    func obstacles(at site: RestoreSite) -> [Problem] { [] }

    /// The memory is made by a mapping, as the program made it, so that it looks the same in `/proc/PID/maps`; a
    /// descriptor of it comes from `/proc/self/map_files` (proc_pid_map_files(5)).
    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let start = try call(
                Int(SYS_mmap), 0, UInt(size), UInt(PROT_READ | PROT_WRITE), UInt(MAP_SHARED | MAP_ANONYMOUS),
                UInt(signed: -1), 0)
            defer { _ = apus_syscall(Int(SYS_munmap), UInt(start), UInt(size), 0, 0, 0, 0) }
            let end = UInt(start) + UInt(size)
            let name = String(UInt(start), radix: 16) + "-" + String(end, radix: 16)
            let descriptor = try Files.open(FilePath("/proc/self/map_files/\(name)"), .readWrite)
            try fill(descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "mmap and map_files"),
                remedy: "Run Apus as root with CAP_SYS_ADMIN, and see that there is enough memory")
        }
    }

    private func fill(_ descriptor: Int32) throws(Errno) {
        let piece: UInt64 = 4 << 20
        for segment in segments {
            let file = PagesFile(directory: layers.directories[segment.layer], id: segment.pagesID)
            let count = segment.pages * Pagemap.pageSize
            var done: UInt64 = 0
            while done < count {
                let amount = min(piece, count - done)
                guard let bytes = file.bytes(at: segment.fileOffset + done, count: amount) else { throw .ioError }
                try Files.write(descriptor, bytes, at: segment.address + done)
                done += amount
            }
        }
    }
}
