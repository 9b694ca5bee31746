public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// An open namespace (namespaces(7)): one of those that the tree shares with Apus, which the restored tree shares with
/// the Apus that restores it.
public enum NamespaceFile: DescriptionKind {
    public static let name = "namespace"

    /// A kind of namespace.
    struct Kind: Sendable {
        /// As `/proc/PID/ns` calls it.
        let name: String
        /// CLONE_NEW*, by which images name it.
        let flag: UInt32
        /// Its number in the ids of a task.
        let id: @Sendable (TaskKobjIdsEntry) -> UInt32
    }

    /// Not that of time: a restored tree may get another one, in which its clocks go on (time_namespaces(7)).
    static let kinds = [
        Kind(name: "mnt", flag: 0x2_0000) { $0.mntNsID },
        Kind(name: "cgroup", flag: 0x200_0000) { $0.cgroupNsID },
        Kind(name: "uts", flag: 0x400_0000) { $0.utsNsID },
        Kind(name: "ipc", flag: 0x800_0000) { $0.ipcNsID },
        Kind(name: "user", flag: 0x1000_0000) { $0.userNsID },
        Kind(name: "pid", flag: 0x2000_0000) { $0.pidNsID },
        Kind(name: "net", flag: 0x4000_0000) { $0.netNsID },
    ]

    private static let time = "time"

    private static func kindName(_ seen: SeenDescriptor) -> String? {
        (kinds.map(\.name) + [time]).first { seen.linkBegins(with: "\($0):[") }
    }

    public static func recognises(_ seen: SeenDescriptor) -> Bool { kindName(seen) != nil }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let name = kindName(seen), name != time else {
            return Problem(
                .unsupported, "a time namespace is open, and the clocks of a restored tree may be in another",
                object: seen.object, remedy: "Close it in the program before the dump")
        }
        let own: NamespaceLink?
        do throws(ProcfsError) { own = try ProcessDirectory(path: "/proc/self").namespaces()[name] } catch {
            return Problem(
                .objectUnreadable, "Apus' own namespaces cannot be read: \(error)", object: seen.object,
                remedy: "Mount /proc where Apus runs")
        }
        if own?.inode == seen.status.inode { return nil }
        return Problem(
            .unsupported, "a \(name) namespace is open that is not that of the tree", object: seen.object,
            remedy: "Carrying namespaces is not built yet: close it in the program before the dump")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let name = kindName(seen), let kind = kinds.first(where: { $0.name == name }) else {
            throw RefusedKind.problem(of: seen)
        }
        var entry = NsFileEntry()
        entry.id = descriptions.nextID()
        entry.nsCflag = kind.flag
        entry.nsID = kind.id(descriptions.circumstances.namespaces)
        entry.flags = seen.descriptionFlags
        return descriptions.record(.ns, entry.id) { $0.nsf = entry }
    }
}

/// An open namespace: the one that Apus is in itself.
public struct OpenNamespace: Resource {
    private let kind: NamespaceFile.Kind
    private let flags: OpenFlags

    /// - Throws: `object-unsupported` for another namespace than that of the tree.
    public init(_ entry: NsFileEntry, in images: CheckpointImages) throws(Problem) {
        guard let kind = NamespaceFile.kinds.first(where: { $0.flag == entry.nsCflag }), let root = images.root?.ids,
            kind.id(root) == entry.nsID
        else {
            throw Problem(
                .objectUnsupported, "the images hold an open namespace (id \(entry.nsID)) that is not the tree's own",
                remedy: "Restore these images with CRIU")
        }
        self.kind = kind
        flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
    }

    public var description: String { "\(kind.name) namespace of the tree" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            return try Files.open(FilePath("/proc/self/ns/\(kind.name)"), flags)
        } catch {
            throw Problem(
                .fileUnopenable, "its \(kind.name) namespace cannot be opened",
                cause: .init(error, attempted: "open(\"/proc/self/ns/\(kind.name)\")"),
                remedy: "Mount /proc where Apus runs")
        }
    }
}
