public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

/// A lock of the network that a dump has left, for a restore that has yet to come, or never comes.
public struct KeptLock: Sendable, Equatable {
    /// The table of the packet filter.
    public let name: String
    /// Whose connections it keeps, in words, as far as is known.
    public let about: String
    /// The directory of the images, or their bundle, where that is known.
    public let images: String?
    /// A dump or a restore is at it.
    public let isInUse: Bool

    /// Its images are not there any more, as seen from here: the tree will not come back.
    public var isAbandoned: Bool {
        guard let images, !isInUse else { return false }
        // A bundle.
        if (try? Files.status(of: FilePath(images)))?.kind == .regular { return false }
        return (try? Files.status(of: FilePath(images).appending("inventory.img"))) == nil
    }

    /// What stands before the directory in the comment of the table.
    private static let separator = "; images in "

    /// The comment of the table of a lock.
    static func comment(connections: Int, of root: Int32, images: FilePath?) -> String {
        let which =
            connections == 0
            ? "new TCP connections" : connections == 1 ? "1 TCP connection" : "\(connections) TCP connections"
        let words = "\(which) of process \(root)"
        guard let images else { return words }
        let whole = words + separator + images.string
        // A path that is cut off would be another.
        return whole.utf8.count <= 250 ? whole : words
    }

    /// All kept locks of this network namespace.
    ///
    /// - Throws: `network-lock`.
    public static func all() throws(Problem) -> [KeptLock] {
        do throws(Errno) {
            return find(in: try PacketFilter.tables())
        } catch {
            // A kernel without a packet filter, or whose packet filter was never asked for anything, has no locks.
            if error == .notSupported || error == Errno(rawValue: 93) { return [] }
            throw NetworkLock.failure(error)
        }
    }

    static func find(in tables: [PacketFilter.Table]) -> [KeptLock] {
        let names = Set(tables.map(\.name))
        return tables.filter { NetworkLock.isKept($0.name) }.map { table in
            let identity = table.name.dropFirst(NetworkLock.keptPrefix.count)
            let parts = table.comment?.split(separator: separator, maxSplits: 1)
            return KeptLock(
                name: table.name, about: parts?.first.map { String($0) } ?? "TCP connections",
                images: (parts?.count ?? 0) > 1 ? parts.map { String($0[1]) } : nil,
                isInUse: names.contains(NetworkLock.passingPrefix + identity))
        }.sorted { $0.name < $1.name }
    }

    /// Removes it. From then on the kernel answers what the other ends of its connections send, and so breaks them off.
    ///
    /// - Throws: `network-lock`, also where a dump or a restore is at it.
    public func remove() throws(Problem) {
        if isInUse {
            throw Problem(
                .networkLock, "the lock \(name) (\(about)) is in use",
                remedy: "Wait until the dump or the restore has ended")
        }
        do throws(Errno) {
            let socket = try PacketFilter.open()
            try PacketFilter.apply(PacketFilter.removing(name), through: socket.raw)
        } catch {
            // Somebody else was faster.
            if error == .noSuchFileOrDirectory { return }
            throw NetworkLock.failure(error)
        }
    }

    /// What to say of locks whose trees will not come back, for a log.
    ///
    /// - Parameter own: the lock of the tree that is being restored, whose images may have been moved.
    public static func reminders(but own: String? = nil) -> [String] {
        ((try? all()) ?? []).filter { $0.isAbandoned && $0.name != own }.map {
            "the lock \($0.name) of an earlier dump still keeps \($0.about) from the network, and its images"
                + " (\($0.images ?? "")) are not there any more: unless they were moved, to be restored from there, it is of no use"
                + " (apus recover lists locks, and removes those that are named with -D, or --all)"
        }
    }
}

extension ImageDirectory {
    /// The name of the lock that the dump into it has left, whether it is still there or not.
    ///
    /// - Throws: as `supplement()`.
    public func keptLock() throws(Problem) -> String? {
        guard case .string(let name)? = try supplement()[.network, "lock"], NetworkLock.isKept(name) else { return nil }
        return name
    }
}
