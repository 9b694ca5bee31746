public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A set of descriptors whose events are waited for, still empty: what it watches is added by a process of the tree,
/// where the descriptors have their numbers.
public struct EventSet: Resource {
    let entry: EventpollFileEntry

    public init(_ entry: EventpollFileEntry) { self.entry = entry }

    public var extraDescriptors: Int { 0 }
    public var description: String { "epoll set for \(entry.tfd.count) descriptors" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.eventSet()
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "an epoll set cannot be made", cause: .init(error, attempted: "epoll_create1"),
                remedy: "Raise fs.epoll.max_user_watches (sysctl) and see that there is enough memory")
        }
    }
}

extension Problem.Code {
    static let imageUnsound: Self = "image-unsuitable"
}

/// What an epoll set watches, as it has to be added (epoll_ctl(2)).
public struct EpollWatch: Sendable, Equatable {
    /// The number under which the set knows it.
    public var number: Int32
    public var events: UInt32
    public var data: UInt64
    /// The description; nil where the number in the table of a holder of the set says which.
    public var target: FileTable.Key?

    /// Those of a set.
    ///
    /// - Throws: `image-unsuitable` where the supplement does not fit the image.
    public static func all(of entry: EventpollFileEntry, _ supplement: Supplement) throws(Problem) -> [EpollWatch] {
        var watches = entry.tfd.map {
            EpollWatch(number: Int32(truncatingIfNeeded: $0.tfd), events: $0.events, data: $0.data)
        }
        guard watches.allSatisfy({ numbers.contains($0.number) }) else { throw misfit(entry) }
        guard let told = supplement[.epoll, entry.id] else { return watches }
        let names = told["watches"]?.elements ?? []
        for (index, name) in names.enumerated() where index < watches.count {
            guard let number = name["fd"]?.bits, let id = name["id"]?.bits,
                let type = name["type"]?.bits.flatMap({ Int(exactly: $0) }).flatMap(FdTypes.init(rawValue:))
            else { continue }
            watches[index].number = Int32(truncatingIfNeeded: number)
            watches[index].target = .init(type, UInt32(truncatingIfNeeded: id))
        }
        let areNamed = watches.allSatisfy { $0.target != nil && numbers.contains($0.number) }
        guard names.count == watches.count, areNamed else { throw misfit(entry) }
        return watches
    }

    /// What a descriptor can have: fs.nr_open (proc_sys_fs(5)) is far below.
    private static let numbers: Range<Int32> = 0..<(1 << 26)

    private static func misfit(_ entry: EventpollFileEntry) -> Problem {
        Problem(
            .imageUnsound, "the images tell what epoll set \(entry.id) watches in a way that no kernel could have",
            remedy: "Copy the images again, all of them")
    }

    /// EPOLLET, EPOLLONESHOT, EPOLLWAKEUP, EPOLLEXCLUSIVE: how to report, and not what.
    private static let manner: UInt32 = 0xf000_0000

    /// It was to report once, and has done so.
    public var isDisabled: Bool { events & 0x4000_0000 != 0 && events & ~Self.manner == 0 }

    /// The same for whatever there is to report: EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLRDHUP.
    public var expectingAnything: EpollWatch {
        var watch = self
        watch.events |= 0x2007
        return watch
    }

    /// struct epoll_event, which is packed on x86-64.
    public var bytes: [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: events >> (8 * UInt32($0))) }
            + (0..<8).map { UInt8(truncatingIfNeeded: data >> (8 * UInt64($0))) }
    }
}
