public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A set of descriptors whose events are waited for: epoll(7).
///
/// The kernel knows what a set watches by the open file description and the number that it had when it was added. The
/// number may have come to mean something else since, or nothing, as long as another descriptor keeps the description
/// open: so each is looked for, with kcmp(2), among all that the tree has open.
public enum Epoll: DescriptionKind {
    public static let name = "epoll set"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: "anon_inode:[eventpoll]") }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        do throws(Problem) {
            for watch in try watches(of: seen) where try locate(watch, of: seen, circumstances) == nil {
                return Problem(
                    .leadsOutside,
                    "the epoll set watches what was its descriptor \(watch.number), which no process of the tree has"
                        + " open any more",
                    object: seen.object,
                    remedy: "Name a process that includes who has it open, or let the program take it out of the set"
                        + " (EPOLL_CTL_DEL) before it closes it")
            }
            return nil
        } catch {
            return error
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        var entry = EventpollFileEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen)
        var located: [WatchedDescriptor] = []
        for watch in try watches(of: seen) {
            guard let target = try locate(watch, of: seen, descriptions.circumstances) else {
                throw obstacle(to: seen, descriptions.circumstances)
                    ?? descriptions.missing("tfd \(watch.number)", of: seen)
            }
            var watched = EventpollTfdEntry()
            watched.id = 0
            // Others know no other number than one that is in place.
            watched.tfd = UInt32(bitPattern: target.pid == seen.pid ? target.number : watch.number)
            watched.events = watch.events
            watched.data = watch.data
            watched.dev = watch.device
            watched.inode = watch.inode
            watched.pos = watch.position
            entry.tfd.append(watched)
            located.append(.init(number: watch.number, target: target))
        }
        descriptions.epollSets.append(.init(id: entry.id, holder: seen.pid, watched: located))
        return descriptions.record(.eventpoll, entry.id) { $0.epfd = entry }
    }

    // MARK: What a set watches

    /// A line of fdinfo (proc_pid_fdinfo(5)).
    struct Watch {
        /// The number under which it was added.
        var number: Int32
        var events: UInt32
        var data: UInt64
        var position: UInt64
        var inode: UInt64
        var device: UInt32
        /// Which of several with this number it is, in their order.
        var place: UInt32 = 0

        /// Parses `8 events: 19 data: 5  pos:0 ino:40f sdev:10`, all but the numbers at its beginning and of the position
        /// in hexadecimal.
        init?(_ line: String) {
            let words = line.split { $0 == " " || $0 == ":" || $0 == "\t" }
            guard words.count >= 5, let number = Int32(words[0]), words[1] == "events",
                let events = UInt32(words[2], radix: 16), words[3] == "data", let data = UInt64(words[4], radix: 16)
            else { return nil }
            (self.number, self.events, self.data) = (number, events, data)
            (position, inode, device) = (0, 0, 0)
            guard words.count >= 11 else { return }
            position = UInt64(words[6]) ?? 0
            inode = UInt64(words[8], radix: 16) ?? 0
            device = UInt32(words[10], radix: 16) ?? 0
        }
    }

    static func watches(of seen: SeenDescriptor) throws(Problem) -> [Watch] {
        var found: [Watch] = []
        var count: [Int32: UInt32] = [:]
        for line in seen.info.values(of: "tfd") {
            let text = String(decoding: line, as: UTF8.self)
            guard var watch = Watch(text) else {
                throw Problem(
                    .objectUnreadable, "the kernel shows what the epoll set watches in a way that is not understood",
                    object: seen.object, remedy: "Report this line: tfd: \(text)")
            }
            watch.place = count[watch.number, default: 0]
            count[watch.number] = watch.place + 1
            found.append(watch)
        }
        return found
    }

    /// A descriptor of the tree that is what a set watches; nil where there is none.
    private static func locate(
        _ watch: Watch, of set: SeenDescriptor, _ circumstances: Circumstances
    ) throws(Problem) -> SeenDescriptor? {
        let own = circumstances.descriptors[set.pid] ?? []
        if let inPlace = own.first(where: { $0.number == watch.number }) {
            // A socket has one description only: its inode says all.
            if inPlace.status.kind == .socket && inPlace.status.inode == watch.inode { return inPlace }
            if try isWatched(inPlace, as: watch, by: set) { return inPlace }
        }
        // Whoever else has it open: the same process first, then whoever holds the set too, by chance of the order.
        let others = circumstances.descriptors.filter { $0.key != set.pid }.sorted { $0.key < $1.key }
        for candidate in own + others.flatMap(\.value) where candidate.status.inode == watch.inode {
            if try isWatched(candidate, as: watch, by: set) { return candidate }
        }
        return nil
    }

    private static func isWatched(
        _ candidate: SeenDescriptor, as watch: Watch, by set: SeenDescriptor
    ) throws(Problem) -> Bool {
        do throws(Errno) {
            return try Processes.watches(
                set.number, of: set.pid, watch.number, position: watch.place, descriptor: candidate.number,
                of: candidate.pid)
        } catch {
            // Closed or taken out since it was listed, in a process that still runs.
            if error == .badFileDescriptor || error == .noSuchFileOrDirectory || error == .noSuchProcess {
                return false
            }
            throw Problem(
                .objectUnreadable, "it cannot be told what the epoll set watches", object: set.object,
                cause: .init(error, attempted: "kcmp(\(candidate.pid), \(set.pid), KCMP_EPOLL_TFD)"),
                remedy: "The kernel needs CONFIG_KCMP, and Apus the right to trace the processes")
        }
    }
}

/// An epoll set whose entry is complete but for the ids of what it watches, which may not have been recorded yet.
struct CapturedEpollSet {
    let id: UInt32
    let holder: Int32
    let watched: [WatchedDescriptor]
}

struct WatchedDescriptor {
    /// The number that the set knows.
    let number: Int32
    let target: SeenDescriptor
}

extension Descriptions {
    /// Names the descriptions that epoll sets watch, once all are recorded. A set that watches nothing but what its
    /// holders have in place under the same numbers needs no more than the image format has.
    ///
    /// - Throws: `unsupported-object`, `object-unreadable`.
    public func nameWatched() throws(Problem) {
        for set in epollSets {
            let setKey = DescriptionKey(.eventpoll, set.id)
            let holders = keys.filter { $0.value.values.contains(setKey) }
            var names: [JSON] = []
            var isPlain = true
            for watched in set.watched {
                let key = try capture(watched.target)
                for table in holders.values where table[watched.number] != key { isPlain = false }
                names.append(
                    .object([
                        .init("fd", .number(watched.number)), .init("type", .number(key.type.rawValue)),
                        .init("id", .number(key.id)),
                    ]))
            }
            if !isPlain { supplement[.epoll, set.id] = .object([.init("watches", .array(names))]) }
        }
        epollSets = []
    }
}
