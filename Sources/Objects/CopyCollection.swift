public import Diagnostics
internal import Images
internal import Linux
public import SystemPackage

/// The removal of copies that nobody uses any more (`apus gc`).
public struct CopyCollection: Sendable {
    public struct Item: Sendable {
        public let path: FilePath
        /// In bytes.
        public let size: UInt64
    }

    public private(set) var removed: [Item] = []
    public private(set) var kept: [Item] = []

    /// Removes what is in no use.
    ///
    /// A copy is in use as long as any process has it open, mapped or executes it. The kernel is asked in two ways: by a lease
    /// that it grants only where nobody has the file open, in whatever namespace he may be (F_SETLEASE, fcntl(2)); and,
    /// as not every file system can tell, by looking at all processes that are to be seen.
    ///
    /// - Parameter state: the state directory.
    /// - Throws: `image-busy` while a restore is at work; `file-unopenable`.
    public init(in state: FilePath) throws(Problem) {
        let place = CopyStore.directory(state)
        do throws(Errno) {
            let directory: OwnedDescriptor
            do throws(Errno) {
                directory = try Files.open(place, [.readOnly, .directory, .noFollow])
            } catch .noSuchFileOrDirectory {
                return
            }
            try Files.lock(directory.raw, .exclusive, waits: false)
            let used = FilesInUse()
            for entry in try Files.entries(of: place) {
                let name = String(decoding: entry.name, as: UTF8.self)
                let isUnfinished = name.hasPrefix(".") && ContentDigest(String(name.dropFirst().prefix(64))) != nil
                guard isUnfinished || ContentDigest(name) != nil else { continue }
                let path = place.appending(name)
                let status = try Files.status(of: path, followLinks: false)
                let item = Item(path: path, size: status.size)
                guard status.kind == .regular else { continue }
                if used.contains(status) || !Self.isFree(path) {
                    kept.append(item)
                } else {
                    try Files.remove(path)
                    removed.append(item)
                }
            }
        } catch {
            if error == .wouldBlock {
                throw Problem(
                    .imageBusy, "a restore is at work with the copies there", object: .init(path: place.string),
                    remedy: "Try again when it is over")
            }
            throw Problem(
                .fileUnopenable, "the copies cannot be looked through", object: .init(path: place.string),
                cause: .init(error, attempted: "open, flock, unlink"), remedy: "Run Apus as root")
        }
    }

    /// Whether the kernel says that nobody has it open.
    private static func isFree(_ path: FilePath) -> Bool {
        guard let file = try? Files.open(path, [.readOnly, .noFollow]) else { return false }
        do throws(Errno) {
            try Files.takeWriteLease(file.raw)
            return true
        } catch {
            // Where there are no leases, what was seen of the processes has to do.
            return error == .invalidArgument || error == .notSupported
        }
    }
}

/// What the processes that are to be seen have open, mapped, or execute.
private struct FilesInUse {
    private struct Identity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
    }

    private var all: Set<Identity> = []

    init() {
        for entry in (try? Files.entries(of: "/proc")) ?? [] {
            guard let pid = Int32(String(decoding: entry.name, as: UTF8.self)) else { continue }
            let process = ProcessDirectory(pid)
            for area in (try? process.maps()) ?? [] where area.inode != 0 {
                all.insert(Identity(device: area.device, inode: area.inode))
            }
            let links = ["exe"] + ((try? process.descriptors()) ?? []).map { "fd/\($0)" }
            for link in links {
                guard let status = try? Files.status(of: process.path.appending(link)) else { continue }
                all.insert(Identity(device: status.device, inode: status.inode))
            }
        }
    }

    func contains(_ status: FileStatus) -> Bool {
        // The device of a mapping may be another than that of its file (btrfs, overlayfs): its inode will do then.
        all.contains { $0.inode == status.inode }
    }
}
