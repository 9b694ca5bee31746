public import Diagnostics
public import Linux
internal import SystemPackage

/// A pseudo-terminal whose master the tree holds.
public struct TerminalPair: Sendable {
    /// Which one it is.
    public struct Key: Sendable, Hashable {
        /// The file system of the slave: there can be several (devpts).
        public var fileSystem: DeviceNumber
        /// The number of the pair, N of `/dev/pts/N`.
        public var index: UInt32

        public init(fileSystem: DeviceNumber, index: UInt32) {
            self.fileSystem = fileSystem
            self.index = index
        }
    }

    public let key: Key
    /// The slave's device and owner, whether it is open or not.
    let slave: FileStatus
    /// The name of the slave.
    let path: FilePath
    /// The session that it controls, and the foreground process group; 0 for none.
    public let session, foreground: Int32
    /// One of the tree's descriptors of the master.
    public let master: SeenDescriptor
    /// Who else has one of its sides open, in words.
    public var outsider: String?
}

/// The pseudo-terminals of a tree: which slaves have their master in it.
///
/// A master has one description at all times: whoever opens `/dev/ptmx` makes another pair. Its slave is asked for by
/// TIOCGPTPEER with O_PATH, which opens nothing.
public struct TerminalTable: Sendable {
    public private(set) var pairs: [TerminalPair.Key: TerminalPair] = [:]
    private var keys: [Int32: [Int32: TerminalPair.Key]] = [:]
    /// The numbers of pairs whose slave the tree has open.
    private var slaves: Set<UInt32> = []

    public init() {}

    /// Looks at all masters.
    ///
    /// - Throws: `object-unreadable`.
    public init(of descriptors: [SeenDescriptor]) throws(Problem) {
        for seen in descriptors where TerminalFile.isMaster(seen) {
            do throws(Errno) {
                try add(seen)
            } catch {
                // Closed, or its process has ended, since it was seen; the frozen tree is looked at again.
                if error == .badFileDescriptor || error == .noSuchProcess { continue }
                throw Problem(
                    .objectUnreadable, "it cannot be told which terminal it is the master of", object: seen.object,
                    cause: .init(error, attempted: "pidfd_getfd, ioctl(TIOCGPTPEER, O_PATH)"),
                    remedy: "The kernel must be 5.6 or later, and Apus needs CAP_SYS_PTRACE over the process")
            }
        }
        if pairs.isEmpty { return }
        slaves = Set(
            descriptors.filter { TerminalFile.recognises($0) && !TerminalFile.isMaster($0) }
                .compactMap { pair(of: $0)?.key.index })
    }

    /// Whether the tree has the slave of a pair open.
    func hasSlaves(_ key: TerminalPair.Key) -> Bool { slaves.contains(key.index) }

    private mutating func add(_ seen: SeenDescriptor) throws(Errno) {
        let process = try Processes.open(thread: seen.pid)
        let master = try Processes.descriptor(seen.number, of: process.raw)
        let peer = try Terminal.peerHandle(master.raw)
        let slave = try Files.status(ofDescriptor: peer.raw)
        let key = TerminalPair.Key(
            fileSystem: slave.device, index: UInt32(bitPattern: try Terminal.pairNumber(master.raw)))
        keys[seen.pid, default: [:]][seen.number] = key
        if pairs[key] != nil { return }
        pairs[key] = TerminalPair(
            key: key, slave: slave, path: FilePath(bytes: try Files.readLink(FilePath("/proc/self/fd/\(peer.raw)"))),
            session: (try? Terminal.session(master.raw)) ?? 0,
            foreground: (try? Terminal.foregroundGroup(master.raw)) ?? 0, master: seen)
    }

    /// Notes that somebody outside of the tree has a pair open.
    public mutating func lead(_ key: TerminalPair.Key, to outsider: String) { pairs[key]?.outsider = outsider }

    /// The pair of a descriptor, whichever side it is; nil where the tree does not have its master.
    public func pair(of seen: SeenDescriptor) -> TerminalPair? {
        if TerminalFile.isMaster(seen) { return keys[seen.pid]?[seen.number].flatMap { pairs[$0] } }
        if seen.status.representedDevice == TerminalFile.controlling { return pairBehindControlling(seen) }
        guard let index = TerminalFile.index(of: seen.status.representedDevice) else { return nil }
        return pairs[.init(fileSystem: seen.status.device, index: index)]
    }

    /// `/dev/tty` tells the number of its terminal, and not its file system.
    private func pairBehindControlling(_ seen: SeenDescriptor) -> TerminalPair? {
        if pairs.isEmpty { return nil }
        guard let process = try? Processes.open(thread: seen.pid),
            let own = try? Processes.descriptor(seen.number, of: process.raw),
            let device = try? Terminal.device(own.raw), let index = TerminalFile.index(of: device)
        else { return nil }
        let candidates = pairs.values.filter { $0.key.index == index }
        return candidates.count == 1 ? candidates[0] : nil
    }

    /// Whether the controlling terminal of a process is one of these.
    public func controls(_ stat: TaskStat) -> Bool {
        guard let index = TerminalFile.index(of: stat.terminal) else { return false }
        return pairs.values.contains { $0.key.index == index && $0.session == stat.session }
    }

    /// A process of a terminal's session that has given the terminal up (TIOCNOTTY).
    public func hasGivenUp(_ stat: TaskStat) -> Bool {
        stat.terminal == DeviceNumber(major: 0, minor: 0) && stat.session != 0
            && pairs.values.contains { $0.session == stat.session }
    }
}
