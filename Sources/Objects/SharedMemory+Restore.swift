internal import CLinux
public import Diagnostics
internal import Glibc
public import Images
public import Linux
internal import SystemPackage

/// A pages file, from which the tasks read their memory.
public struct PagesFile: Resource {
    private enum Place {
        case directory(ImageDirectory)
        case locator(any PageLocator)
    }

    private let place: Place
    private let id: UInt32

    /// The file that has the pages of a segment.
    public init(_ segment: PageLayers.Segment, of layers: PageLayers) {
        id = segment.pagesID
        if segment.layer == PageLayers.Segment.elsewhere, let locator = layers.locator {
            place = .locator(locator)
        } else {
            place = .directory(layers.directories[segment.layer])
        }
    }

    private var path: FilePath {
        switch place {
        case .directory(let directory): directory.path.appending("pages-\(id).img")
        case .locator: FilePath("pages that have come (\(id))")
        }
    }

    public var extraDescriptors: Int { 0 }
    public var description: String { "\(path) to read" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        try open()
    }

    private func open() throws(Problem) -> OwnedDescriptor {
        switch place {
        case .directory(let directory):
            let file = try directory.pagesFile(id)
            defer { withExtendedLifetime(file) {} }
            return try duplicate(file.descriptor)
        case .locator(let locator):
            guard let file = locator.file(id) else { throw unopened(.noSuchFileOrDirectory) }
            return try duplicate(file)
        }
    }

    private func duplicate(_ file: Int32) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Files.duplicate(file) } catch { throw unopened(error) }
    }

    private func unopened(_ error: Errno) -> Problem {
        Problem(
            .fileMissing, "the image file cannot be opened", object: .init(path: path.string),
            cause: .init(error, attempted: "openat(\"\(path)\")"), remedy: "Copy the images again, all of them")
    }

    /// A piece of it; nil where it cannot be read.
    public func bytes(at offset: UInt64, count: UInt64) -> [UInt8]? {
        guard let file = try? open() else { return nil }
        return try? Files.read(file.raw, count: Int(count), at: offset)
    }
}

/// The pages of a shared memory object in the images.
public struct StoredMemory: Sendable {
    let segments: [PageLayers.Segment]
    let layers: PageLayers

    public init(segments: [PageLayers.Segment], layers: PageLayers) {
        self.segments = segments
        self.layers = layers
    }

    /// Writes them into a file, each at its place.
    func fill(_ descriptor: Int32) throws(Errno) {
        let piece: UInt64 = 4 << 20
        for segment in segments {
            let file = PagesFile(segment, of: layers)
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

extension StoredMemory {
    /// Writes them by way of a mapping: files of huge pages cannot be written to. Where there are zeros nothing is
    /// touched, so that no page is taken for them.
    func fill(mapped descriptor: Int32, size: UInt64) throws(Errno) {
        guard let whole = Int(exactly: size) else { throw .invalidArgument }
        let region = try MappedRegion(of: descriptor, count: whole)
        let piece: UInt64 = 2 << 20
        for segment in segments {
            let file = PagesFile(segment, of: layers)
            let count = segment.pages * Pagemap.pageSize
            guard segment.address <= size, count <= size - segment.address else { throw .invalidArgument }
            var done: UInt64 = 0
            while done < count {
                let amount = min(piece, count - done)
                guard let bytes = file.bytes(at: segment.fileOffset + done, count: amount) else { throw .ioError }
                if bytes.contains(where: { $0 != 0 }) { region.store(bytes, at: Int(segment.address + done)) }
                done += amount
            }
        }
    }
}

/// Shared anonymous memory: made by Apus, filled by Apus, mapped by every task that had it mapped.
public struct SharedMemory: Resource {
    let id: UInt64
    let size: UInt64
    let content: StoredMemory

    public init(id: UInt64, size: UInt64, content: StoredMemory) {
        self.id = id
        self.size = size
        self.content = content
    }

    public var extraDescriptors: Int { 0 }
    public var description: String { "shared memory \(id) of \(size) bytes" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Self.make(size: size, content) } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be made", cause: .init(error, attempted: "mmap and map_files"),
                remedy: "Run Apus as root with CAP_SYS_ADMIN, and see that there is enough memory")
        }
    }

    /// Makes the memory by a mapping, as the program made it, so that it looks the same in `/proc/PID/maps`. A
    /// descriptor of it comes from `/proc/self/map_files` (proc_pid_map_files(5)).
    ///
    /// - Parameter hugePages: the binary logarithm of the size of a huge page from bit 26 on; nil for usual pages.
    static func make(
        size: UInt64, _ content: StoredMemory, hugePages: UInt32? = nil
    ) throws(Errno) -> OwnedDescriptor {
        let kind = hugePages.map { UInt(MAP_HUGETLB) | UInt($0) } ?? 0
        let start = try call(
            Int(SYS_mmap), 0, UInt(size), UInt(PROT_READ | PROT_WRITE), UInt(MAP_SHARED | MAP_ANONYMOUS) | kind,
            UInt(signed: -1), 0)
        defer { _ = apus_syscall(Int(SYS_munmap), UInt(start), UInt(size), 0, 0, 0, 0) }
        let end = UInt(start) + UInt(size)
        let name = String(UInt(start), radix: 16) + "-" + String(end, radix: 16)
        let descriptor = try Files.open(FilePath("/proc/self/map_files/\(name)"), .readWrite)
        if hugePages == nil {
            try content.fill(descriptor.raw)
        } else {
            try content.fill(mapped: descriptor.raw, size: size)
        }
        return descriptor
    }
}
