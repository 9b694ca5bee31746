internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// What is in the files that a tree needs: read beside the freeze and never within it.
///
/// Nearly all files are there before the tree is frozen already, and are read then. What a process opened in the last
/// moment is opened in the freeze, and read when the dump stands (`complete`).
///
/// What is read: what is mapped or executed, up to 1 GiB a file, and what is open for reading alone, up to 64 MiB. What the
/// tree can write to is never read: its content is not to stay what it was, and a database may have terabytes of it.
final class FileContents {
    /// The most that is read of a file that is mapped or executed, and of one that is open for reading.
    static let (mappedLimit, readLimit): (UInt64, UInt64) = (1 << 30, 64 << 20)

    /// The most that `--ship auto` takes along of them.
    static let (mappedShipment, readShipment): (UInt64, UInt64) = (256 << 20, 16 << 20)

    fileprivate struct Content: Sendable {
        var status: FileStatus
        var digest: ContentDigest?
        var buildID: [UInt8] = []
        var unread: String?
        var isShipped = false
        /// It is the first with this content in the image directory.
        var isNewCopy = false
        /// Its copy could not be made.
        var problem: Problem?
    }

    /// What is asked of the files.
    private struct Wishes: Sendable {
        let mounts: [UInt64: NeededFile.Mount]
        let shipping: DumpOptions.Shipping
        let rules: FileRules
        /// Where copies go; nil where none are made.
        let copies: ImageDirectory?
        /// Files that the tree has leases on (F_SETLEASE of fcntl(2)): whoever opens one breaks it.
        let leased: Set<InodeIdentity>

        func isLeased(_ item: NeededFiles.Item) -> Bool {
            leased.contains(InodeIdentity(item.status))
        }

        func mount(of item: NeededFiles.Item) -> NeededFile.Mount? { item.status.mountID.flatMap { mounts[$0] } }

        func ships(_ item: NeededFiles.Item) -> Bool {
            guard copies != nil, item.status.kind == .regular, !virtual.contains(mount(of: item)?.fileSystem ?? ""),
                item.uses != .place, !isLeased(item)
            else { return false }
            // What an earlier restore has put there has no other place, and may be cleared away (`apus gc`).
            if rules.policy(for: item.path) == .ship || CopyStore.holds(item.path) { return true }
            switch shipping {
            case .none: return false
            case .all: return true
            case .auto:
                guard item.uses.isDisjoint(with: .written) else { return false }
                let limit = item.uses.isDisjoint(with: [.mapped, .executed]) ? readShipment : mappedShipment
                return item.status.size <= limit
            }
        }

        func reasonNotToRead(_ item: NeededFiles.Item) -> String? {
            if isLeased(item) { return "the tree has a lease on it, which would be broken" }
            return FileContents.reasonNotToRead(
                item, on: mount(of: item), exactly: rules.policy(for: item.path) == .exact)
        }
    }

    private var known: [InodeIdentity: Content] = [:]
    private let wishes: Wishes
    private let directory: ImageDirectory
    /// Copies that no older dump has.
    private var newCopies: Set<ContentDigest> = []
    private var isKept = false
    /// Kernel file systems, whose files have no content of their own.
    private static let virtual: Set<String> = [
        "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "devpts", "devtmpfs", "securityfs", "configfs",
        "bpf", "mqueue", "pstore", "efivarfs", "binfmt_misc", "fusectl", "autofs", "rpc_pipefs", "nsfs",
    ]

    /// Reads the files of a tree that runs, and takes those along that are to be.
    ///
    /// - Throws: `image-unwritable` where a copy cannot be made.
    init(of processes: [SurveyedProcess], _ options: DumpOptions, into directory: ImageDirectory) throws(Problem) {
        self.directory = directory
        var files = NeededFiles()
        for process in processes {
            for (area, _) in process.areas {
                guard let file = process.files[area.range.lowerBound], file.ghost == nil else { continue }
                files.note(file.path, file.status, .init(of: area))
            }
            if let executable = process.places?.executable, executable.ghost == nil {
                files.note(executable.path, executable.status, .executed)
            }
            for seen in process.descriptors where RegularFile.recognises(seen) {
                files.note(seen.path, seen.status, .init(of: seen))
            }
        }
        let items = files.items.filter { $0.status.kind == .regular }
        let ships =
            options.shipping != .none || options.fileRules.speaks(of: .ship)
            || items.contains { CopyStore.holds($0.path) }
        let wishes = Wishes(
            mounts: Self.mounts(seenBy: processes.first?.pid ?? Processes.current), shipping: options.shipping,
            rules: options.fileRules, copies: ships ? try directory.makeCopies() : nil, leased: Self.leased(processes))
        self.wishes = wishes
        let read = Workers.map(items.count) { index in
            // Content that can be written to is taken when the tree stands still.
            let ships = wishes.ships(items[index]) && items[index].uses.isDisjoint(with: .written)
            return Self.content(of: items[index], wishes, number: index, ships: ships)
        }
        for (item, content) in zip(items, read) { try learn(content, of: item) }
    }

    private static func leased(_ processes: [SurveyedProcess]) -> Set<InodeIdentity> {
        let held = processes.flatMap(\.descriptors).filter { seen in seen.info.locks.contains { $0.kind == .lease } }
        return Set(held.map { InodeIdentity($0.status) })
    }

    private func learn(_ content: Content?, of item: NeededFiles.Item) throws(Problem) {
        guard let content else { return }
        known[InodeIdentity(item.status)] = content
        if content.isNewCopy, let digest = content.digest { newCopies.insert(digest) }
        if let problem = content.problem { throw problem }
    }

    /// The dump stands, and so do its copies.
    func keep() { isKept = true }

    deinit {
        if isKept { return }
        // Copies of an older dump that stands stay.
        for digest in newCopies { directory.removeCopy(digest) }
    }

    /// Files whose content is yet to be read, held open, by their place among the records.
    private var pending: [(index: Int, file: SharedDescriptor, status: FileStatus)] = []

    /// Describes the files that the images of the tree name, which stands still.
    ///
    /// - Parameter warn: told of files that were to be taken along and are not.
    /// - Throws: `image-unwritable` where a copy cannot be made.
    func records(of needed: NeededFiles, warn: (String) -> Void) throws(Problem) -> [NeededFile] {
        pending = []
        var records: [NeededFile] = []
        for item in needed.items {
            let record = try record(of: item, number: records.count)
            records.append(record)
            if wishes.ships(item), !record.isShipped {
                warn("\(record.path): is not taken along: \(record.unread ?? "it could not be opened")")
            }
        }
        try directory.keepCopies(Set(records.filter(\.isShipped).compactMap(\.digest)))
        return records
    }

    private func record(of item: NeededFiles.Item, number: Int) throws(Problem) -> NeededFile {
        var record = NeededFile(item)
        record.mount = wishes.mount(of: item)
        record.policy = wishes.rules.policy(for: item.path)?.rawValue
        guard item.status.kind == .regular else { return record }
        let key = InodeIdentity(item.status)
        let isKnown = known[key].map { record.isUntouched($0.status) } ?? false
        if wishes.ships(item), !isKnown || known[key]?.isShipped != true {
            // The last moment at which it is what the tree left.
            try learn(Self.content(of: item, wishes, number: number, ships: true), of: item)
        } else if !isKnown {
            if let reason = wishes.reasonNotToRead(item) {
                record.unread = reason
            } else if let file = Self.open(item) {
                pending.append((number, SharedDescriptor(file), item.status))
                record.unread = "it was opened in the last moment"
            } else {
                record.unread = "it could not be opened"
            }
            return record
        }
        guard let content = known[key] else { return record }
        record.fill(from: content)
        return record
    }

    /// Reads what is left to be read, now that no tree waits for it.
    ///
    /// - Parameter warn: told of files that have changed since the freeze.
    func complete(_ records: inout [NeededFile], warn: (String) -> Void) {
        for (index, file, status) in pending {
            guard let content = Self.content(of: file.descriptor.raw, status) else { continue }
            records[index].fill(from: content)
            if let reason = content.unread { warn("\(records[index].path): its content is not recorded: \(reason)") }
        }
        pending = []
    }

    private static func content(
        of item: NeededFiles.Item, _ wishes: Wishes, number: Int, ships: Bool
    ) -> Content? {
        let reason = ships ? nil : wishes.reasonNotToRead(item)
        let isMapped = !item.uses.isDisjoint(with: [.mapped, .executed])
        if let reason,
            virtual.contains(wishes.mount(of: item)?.fileSystem ?? "") || !isMapped || wishes.isLeased(item)
        {
            return Content(status: item.status, unread: reason)
        }
        guard let file = open(item) else { return nil }
        if let reason {
            let id = BuildID.bytes(in: file.raw).map(Array.init) ?? []
            return Content(status: item.status, buildID: id, unread: reason)
        }
        return content(of: file.raw, item.status, copyingTo: ships ? wishes.copies : nil, number: number)
    }

    /// Reads an open file, and looks whether it has stayed what it was.
    private static func content(
        of file: Int32, _ status: FileStatus, copyingTo copies: ImageDirectory? = nil, number: Int = 0
    ) -> Content? {
        var content = Content(status: status)
        content.buildID = BuildID.bytes(in: file).map(Array.init) ?? []
        do {
            let read: (digest: ContentDigest, size: UInt64)
            if let copies {
                guard
                    let added = try copies.add(
                        contentOf: file, number: number, while: { !Cancellation.requested })
                else { return nil }
                read = (added.digest, added.size)
                content.isNewCopy = added.isNew
            } else {
                guard let found = try ContentDigest.read(file, while: { !Cancellation.requested }) else { return nil }
                read = found
            }
            let now = try Files.status(ofDescriptor: file)
            if now.modified == status.modified && now.size == status.size && read.size == status.size {
                content.digest = read.digest
                content.isShipped = copies != nil
            } else {
                content.unread = "it changed while it was read"
            }
        } catch {
            content.problem = error as? Problem
            content.unread = "it could not be read (\(error))"
        }
        return content
    }

    /// By the very name that is recorded, which leads to the very file.
    private static func open(_ item: NeededFiles.Item) -> OwnedDescriptor? {
        guard let file = try? Files.open(item.path, [.readOnly, .nonBlocking, .noControllingTerminal]),
            let status = try? Files.status(ofDescriptor: file.raw), status.kind == .regular,
            status.device == item.status.device, status.inode == item.status.inode
        else { return nil }
        return file
    }

    private static func reasonNotToRead(
        _ item: NeededFiles.Item, on mount: NeededFile.Mount?, exactly: Bool
    ) -> String? {
        if let type = mount?.fileSystem, virtual.contains(type) { return "it is a file of the kernel (\(type))" }
        if !item.uses.isDisjoint(with: .written) { return "the tree can write to it" }
        let isMapped = !item.uses.isDisjoint(with: [.mapped, .executed])
        if !isMapped && !item.uses.contains(.reading) { return "nobody reads it" }
        let limit = isMapped ? mappedLimit : readLimit
        return item.status.size > limit && !exactly ? "it is larger than \(limit >> 20) MiB" : nil
    }

    private static func mounts(seenBy pid: Int32) -> [UInt64: NeededFile.Mount] {
        let all = (try? ProcessDirectory(pid).mounts()) ?? []
        return Dictionary(
            all.map { mount in
                let found = NeededFile.Mount(
                    point: FilePath(bytes: mount.mountPoint),
                    fileSystem: String(decoding: mount.fileSystem, as: UTF8.self),
                    source: String(decoding: mount.source, as: UTF8.self))
                return (UInt64(mount.id), found)
            }
        ) { first, _ in first }
    }
}

extension NeededFile {
    fileprivate mutating func fill(from content: FileContents.Content) {
        (digest, buildID, unread, isShipped) = (content.digest, content.buildID, content.unread, content.isShipped)
    }
}
