public import Diagnostics
internal import SystemPackage

/// What the format of the images has no place for: `supplement.json`, a file of Apus's own, which others pass over.
///
/// It has sections, each with its own keys: the id of a description, a pid, the id of a thread. A value is whatever the
/// section needs. A reader that meets a section it does not know refuses the images: what it cannot restore would be
/// lost without a word.
public struct Supplement: Sendable, Equatable {
    /// The name of the file.
    public static let fileName = "supplement.json"

    /// What there is to tell. A new kind of state gets its line here.
    public enum Section: String, Sendable, CaseIterable {
        /// The clocks at the dump as the tree saw them: `realtime`, `monotonic`, `boottime`, in nanoseconds; `boot`, what
        /// the kernel calls that boot of the host.
        case clock
        /// By the id of an eventfd: `semaphore`.
        case eventfd
        /// By the id of a timerfd: `deadline`, of an absolute time, in nanoseconds of its clock.
        case timerfd
        /// By the id of a thread that waited with a time limit: `left` of it, in nanoseconds, of its `clock`.
        case sleep
        /// By the id of an epoll set: an array of what it watches, in the order of the message, each with the number
        /// `fd` under which the set knows it, and the `type` and `id` of the description.
        case epoll
        /// By pid: settings of a process, each by a name of its own (`ProcessSettings`).
        case process
        /// By thread id: how a thread runs (`ThreadSettings`).
        case thread
        /// By the id of a pipe: `packets`, the lengths in bytes of what is queued in packet mode.
        case pipe
        /// By the id of a pidfd of a process that has ended: `status`, as wait4(2) would tell it.
        case pidfd
        /// By the pid of a process: `exitSignal`, the signal that tells its parent of its end, where it is not SIGCHLD
        /// (clone(2)); 0 for none.
        case family
        /// By the id of a socket: `options`, numbers by the number of the option of level SOL_SOCKET; `order`, the place
        /// among the connections that wait; `senders`, of the datagrams that are queued, in hexadecimal digits; `peer` and
        /// `connector`, who made a connection: `pid`, `uid`, `gid`, `groups`; `levels` and `interfaces`, options of other
        /// levels, by level and option; `groups`, memberships: `interface`, `address`, `includes`, `sources`; `arrivals`, of
        /// the datagrams that are queued: `to`, `ttl`, `tos`; `journal`, as
        /// what it is logged; `devices`, names of network devices by their numbers.
        case socket
        /// By the key by which the restore's caller provides it (`--inherit-fd`): what was left outside of the dump.
        case external
        /// By the id of a pseudo-terminal's master: `closed`, `stopped`, `lines` and `input` (`TerminalQueues`).
        case terminal
        /// `lock`: the table of the packet filter that keeps the network from the connections of the tree until it is
        /// restored.
        case network
        /// By pid: see ``MemoryTraits``.
        case memory
        /// By the id of a set of System V semaphores: `users`, who operated on each last, 0 for nobody; `undo`, what
        /// processes do at their end (SEM_UNDO), each with `pid`, the number of the `semaphore`, and what they `add`.
        case semaphores
        /// By the id of a queue of System V messages: its last `sender` and its last `receiver`, 0 for nobody.
        case queue
        /// By the id of an inotify queue: `lost`, its watches of files that have no name, each with the number of the
        /// `watch` and the id of a description of the `file`; how many bytes of events were `unread`.
        case inotify
        /// By the id of a description that is attached to a tunnel device: its `flags`, the `room` for what is sent, and the
        /// length of a `header` of virtio. A `device` that ends with its program is told with it: `index`, `type`, `flags`,
        /// `mtu`, length of the `queue`, `group`, `address` and `alias` in hexadecimal digits, `addresses` and `routes` as messages of
        /// rtnetlink(7), `generation` of its IPv6 address, `user` and `users` who may attach to it, and `offload`.
        case tunnel
        /// By the id of a fanotify queue: `filesystems`, its marks of whole file systems, each with the `path` of a mount in
        /// hexadecimal digits, `mask`, mask of what is `ignored`, and `flags`.
        case fanotify
        /// By the id of a description of a POSIX message queue: the `inode` that tells one queue from another, its `name` in
        /// hexadecimal digits, `capacity` and `size` of a message, `uid`, `gid`, whether it is `unlinked`, and its `messages`,
        /// each with its `priority` and its `bytes`; `left` where others use it and keep them. A `notification`
        /// (mq_notify(3)) says which `process` is to be told by which `descriptor` of it, and the `manner`: `none`, a
        /// `signal` with its `value`, or `thread`, by a message to a `socket` of that process, the `cookie`.
        case mqueue
        /// By the id of a description of an io_uring: its `size` and `layout`, how many requests were `taken`, and the content of
        /// its memory (`RequestRingImage`). The mappings that have that id are of its memory.
        case uring
        /// By the id of a packet socket: how far its ring for receiving has got. `next`, the number of the frame or block that the
        /// kernel fills next; `heads` of the frames, and the `bytes` of those `waiting`, by their `number`, in hexadecimal
        /// digits. The mappings of memory of sockets that have that id are of its rings.
        case ring
    }

    private var sections: [Section: [String: JSON]] = [:]

    public init() {}

    public var isEmpty: Bool { sections.isEmpty }

    /// The value of a key, or nil.
    public subscript(_ section: Section, _ key: String) -> JSON? {
        get { sections[section]?[key] }
        set {
            sections[section, default: [:]][key] = newValue
            if sections[section]?.isEmpty == true { sections[section] = nil }
        }
    }

    /// The value of a key that is a number: an id, a pid.
    public subscript(_ section: Section, _ key: some FixedWidthInteger) -> JSON? {
        get { self[section, String(key)] }
        set { self[section, String(key)] = newValue }
    }

    /// The keys of a section, sorted.
    public func keys(of section: Section) -> [String] { (sections[section] ?? [:]).keys.sorted() }

    private static let version: Int64 = 1

    fileprivate var json: JSON {
        var members = [JSON.Member("version", .integer(Self.version))]
        for (section, values) in sections.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let values = values.sorted { $0.key < $1.key }.map { JSON.Member($0.key, $0.value) }
            members.append(.init(section.rawValue, .object(values)))
        }
        return .object(members)
    }

    /// - Returns: nil where the document is none of ours.
    fileprivate init?(_ document: JSON, unknown: inout [String]) {
        guard case .object(let members) = document, document["version"] == .integer(Self.version) else { return nil }
        for member in members where member.name != "version" {
            guard let section = Section(rawValue: member.name) else {
                unknown.append(member.name)
                continue
            }
            guard case .object(let values) = member.value else { return nil }
            for value in values { self[section, value.name] = value.value }
        }
    }
}

extension ImageDirectory {
    /// More than any directory needs: a line or two for each description.
    private static let largestSupplement: UInt64 = 256 << 20

    /// Writes the supplement; no file where there is nothing to tell.
    ///
    /// - Throws: `image-unwritable`.
    public func write(_ supplement: Supplement) throws(Problem) {
        if supplement.isEmpty { return }
        var writer = try ImageWriter(creating: Supplement.fileName, in: self)
        try writer.append(raw: Array(supplement.json.text(indented: false).utf8))
        try writer.finishWhole()
    }

    /// Reads the supplement; an empty one where there is none.
    ///
    /// - Throws: `image-bad-frame` where it cannot be understood, `image-version` where it tells of things that only a
    ///   newer Apus knows.
    public func supplement() throws(Problem) -> Supplement {
        guard let file = try file(named: Supplement.fileName) else { return Supplement() }
        guard file.size <= Self.largestSupplement else {
            throw .image(.imageBadFrame, file.path, "the supplement is too large to be one")
        }
        var unknown: [String] = []
        guard let document = JSON(parsing: try file.bytes(at: 0, count: file.size)),
            let supplement = Supplement(document, unknown: &unknown)
        else {
            throw .image(.imageBadFrame, file.path, "the supplement cannot be understood")
        }
        guard unknown.isEmpty else {
            throw .image(
                .imageVersion, file.path,
                "the images hold what this Apus does not know: \(unknown.joined(separator: ", "))",
                remedy: "Restore with the version of Apus that made them, or a newer one")
        }
        return supplement
    }
}
