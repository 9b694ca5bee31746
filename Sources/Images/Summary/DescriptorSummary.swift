internal import ImageMessages

/// What is behind a descriptor.
public struct DescriptorSummary: Sendable {
    public var fd: UInt32
    /// `file`, `directory`, `pipe`, `tcp`, `unix stream`, ...
    public var kind: String
    /// The path, the addresses, or what else tells this one from others of its kind. May be empty.
    public var name: String
    /// How it is open and what state it is in, in a few words.
    public var details: [String]
    /// It is closed by execve(2).
    public var closesOnExec: Bool

    init(_ descriptor: FdinfoEntry, _ images: CheckpointImages) {
        fd = descriptor.fd
        // FD_CLOEXEC is the only flag of a descriptor (fcntl(2)).
        closesOnExec = descriptor.flags & 1 != 0
        let words = images.files[descriptor].map { DescriptorWords($0, images) } ?? DescriptorWords("nothing")
        (kind, name, details) = (words.kind, words.name, words.details)
    }
}

/// The words for an open file description: a line for each type that there is.
struct DescriptorWords {
    var kind: String
    var name: String
    var details: [String]

    init(_ kind: String, _ name: String = "", _ details: [String?] = []) {
        self.kind = kind
        self.name = name
        self.details = details.compactMap { $0 }
    }

    init(_ entry: FileEntry, _ images: CheckpointImages) {
        self =
            switch entry.type {
            case .reg: Self(entry.reg, images)
            case .pipe: Self(pipe: entry.pipe, images)
            case .fifo: Self(fifo: entry.fifo, images)
            case .tty: Self(terminal: entry.tty, images)
            case .inetsk: Self(internet: entry.isk)
            case .unixsk: Self(unix: entry.usk)
            case .packetsk: Self("packet socket", "", ["protocol \(entry.psk.protocol)"])
            case .netlinksk: Self("netlink socket", "", ["protocol \(entry.nlsk.protocol)"])
            case .eventfd: Self("eventfd", "", ["counter \(entry.efd.counter)"])
            case .eventpoll: Self("epoll", "", ["watches \(Self.list(entry.epfd.tfd.map { $0.tfd }))"])
            case .signalfd: Self("signalfd", "", ["signals \(Self.signals(entry.sgfd.sigmask))"])
            case .timerfd: Self("timerfd", "", ["clock \(entry.tfd.clockid)", Self.expiry(entry.tfd)])
            case .inotify: Self("inotify", "", [Self.count(entry.ify.wd.count, "watch", "watches")])
            case .fanotify: Self("fanotify", "", [Self.count(entry.ffy.mark.count, "mark", "marks")])
            case .memfd: Self(memfd: entry.memfd, images)
            case .ns: Self("namespace", "", ["id \(entry.nsf.nsID)"])
            case .tunf: Self("tun", entry.tunf.netdev)
            case .ext: Self("external", "")
            case .bpfmap: Self("bpf map", entry.bpf.mapName, ["\(entry.bpf.maxEntries) entries"])
            case .pidfd: Self("pidfd", "", ["pid \(entry.pidfd.nspid)"])
            case .und, .ctlTty, .autofsPipe: Self("unknown")
            }
    }

    static func count(_ count: Int, _ one: String, _ many: String) -> String { "\(count) \(count == 1 ? one : many)" }

    static func list(_ numbers: [UInt32]) -> String {
        numbers.isEmpty ? "nothing" : numbers.sorted().map(String.init).joined(separator: ", ")
    }

    /// Signal n is bit n - 1 (sigaction(2)).
    private static func signals(_ mask: UInt64) -> String {
        list((0..<64).filter { mask >> $0 & 1 != 0 }.map { UInt32($0 + 1) })
    }

    private static func expiry(_ timer: TimerfdEntry) -> String {
        if timer.vsec == 0 && timer.vnsec == 0 { return "disarmed" }
        return timer.isec == 0 && timer.insec == 0 ? "armed" : "repeating"
    }
}
