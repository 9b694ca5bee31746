public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A pseudo-terminal in images, both of whose sides are, or were, in the tree.
public struct StoredTerminal: Sendable {
    let index: UInt32
    /// The numbers of all the tree's terminals.
    let numbers: Set<UInt32>
    let master: TtyInfoEntry
    /// Its slave, where anybody has that open.
    let slave: TtyInfoEntry?
    let multiplexer: FilePath
    /// Permissions of the slave's name.
    let slaveMode: UInt32?
    let queues: TerminalQueues

    /// The master of the pair that a terminal is a side of; nil for one whose master is outside.
    public static func master(of info: TtyInfoEntry, in images: CheckpointImages) -> TtyInfoEntry? {
        guard info.type == .pty || info.type == .ctty, info.hasPty, info.hasTermios else { return nil }
        return images.terminals.values.first { $0.isMaster && $0.pty.index == info.pty.index }
    }

    /// - Throws: `object-unsupported` for what could never have been.
    init(_ master: TtyInfoEntry, in images: CheckpointImages) throws(Problem) {
        index = master.pty.index
        self.master = master
        numbers = Set(images.terminals.values.filter(\.isMaster).map(\.pty.index))
        let index = self.index
        let sides = images.terminals.values.filter {
            !$0.isMaster && $0.hasPty && $0.pty.index == index && $0.hasTermios
        }
        slave = sides.first { $0.type == .pty } ?? sides.first
        let files = images.files.entries.values.filter { $0.hasTty }
        multiplexer =
            files.first { $0.tty.ttyInfoID == master.id }.flatMap { images.files.regular($0.tty.regfID)?.path }
            ?? "/dev/ptmx"
        let name = slave.flatMap { side in
            side.type == .pty ? files.first { $0.tty.ttyInfoID == side.id } : nil
        }
        slaveMode = name.flatMap { images.files.regular($0.tty.regfID)?.mode }
        queues = try TerminalQueues(of: master.id, slave: slave, in: images)
        guard index < 1 << 20, multiplexer.lastComponent?.string == "ptmx" else {
            throw Problem(
                .objectUnsupported, "the images hold terminal \(index) of \(multiplexer), which no kernel has",
                remedy: "Copy the images again, all of them")
        }
    }

    var path: FilePath { FilePath("/dev/pts/\(index)") }
}

extension TtyInfoEntry {
    /// Whether it is the side that `/dev/ptmx` gave.
    public var isMaster: Bool {
        type == .pty && hasPty && DeviceNumber(encoded: UInt64(rdev)) == TerminalFile.multiplexer
    }
}

/// A pseudo-terminal that is being made: its master, and what it is to be when all is open.
final class OpenTerminal {
    let stored: StoredTerminal?
    let master: OwnedDescriptor
    /// Its number now.
    let number: UInt32

    /// Makes a pair of a number. The kernel gives the lowest that is free: those below it are taken for a moment.
    ///
    /// - Parameters:
    ///   - anyNumber: another number will do, where that one is taken.
    ///   - others: those that others will have.
    init(
        _ index: UInt32, from multiplexer: FilePath, anyNumber: Bool, _ stored: StoredTerminal?,
        others: Set<UInt32> = []
    ) throws(Errno) {
        self.stored = stored
        guard try Files.status(of: multiplexer).representedDevice == TerminalFile.multiplexer else {
            throw .noSuchAddressOrDevice
        }
        var below: [SharedDescriptor] = []
        while true {
            let pair = try Files.open(multiplexer, [.readWrite, .noControllingTerminal])
            let number = UInt32(bitPattern: try Terminal.pairNumber(pair.raw))
            if number == index || anyNumber && number > index && !others.contains(number) {
                master = pair
                self.number = number
                break
            }
            if number > index, !anyNumber { throw .fileExists }
            below.append(SharedDescriptor(pair))
        }
        try Terminal.setLocked(master.raw, false)
        if let stored { try settle(stored) }
    }

    /// What it is before anybody has it: nobody is told of changes.
    private func settle(_ stored: StoredTerminal) throws(Errno) {
        let info = stored.slave ?? stored.master
        if info.hasTermios { try Terminal.setSettings(master.raw, Terminal.Settings(info.termios)) }
        if info.hasWinsize { try Terminal.setWindowSize(master.raw, Terminal.WindowSize(info.winsize)) }
        if let slave = stored.slave, slave.type == .pty {
            let path = FilePath("/dev/pts/\(number)")
            try Files.setOwner(path, uid: slave.uid, gid: slave.gid)
            if let mode = stored.slaveMode { try Files.setMode(path, mode & 0o7777) }
        }
        if stored.queues.isClosed { try openSlave([.readWrite, .nonBlocking]).close() }
    }

    func openSlave(_ flags: OpenFlags) throws(Errno) -> OwnedDescriptor {
        try Terminal.openPeer(master.raw, flags.union(.noControllingTerminal))
    }

    /// What must wait until everybody has it: what is queued, and what keeps others from opening it.
    func complete() throws(Errno) {
        guard let stored else { return }
        if !stored.queues.queues.isEmpty { try Terminal.fillQueues(master.raw, stored.queues.queues) }
        if let slave = stored.slave, slave.exclusive {
            let own = try openSlave(.readWrite)
            try Terminal.setExclusive(own.raw, true)
        }
        if stored.master.exclusive { try Terminal.setExclusive(master.raw, true) }
        let locks = Terminal.Settings((stored.slave ?? stored.master).termiosLocked)
        if locks.isAnySet { try Terminal.setLocks(master.raw, locks) }
        if stored.master.packetMode { try Terminal.setPacketMode(master.raw, true) }
        if stored.master.locked { try Terminal.setLocked(master.raw, true) }
    }
}

extension RestoreSite {
    /// The pair of a number, made when the first of its sides is opened. Where somebody has that number it gets another,
    /// unless the user wants it so or not at all: a terminal is found through descriptors, and few programs note its name.
    func terminal(_ stored: StoredTerminal) throws(Errno) -> OpenTerminal {
        if let known = terminals[stored.index] { return known }
        let made = try OpenTerminal(
            stored.index, from: stored.multiplexer, anyNumber: !exactTerminals, stored, others: stored.numbers)
        terminals[stored.index] = made
        if made.number != stored.index {
            renumberedTerminals.append(
                "terminal \(stored.path) is now /dev/pts/\(made.number), as that number is taken here: what programs remember"
                    + " of its name (TTY, SSH_TTY, GPG_TTY) is another's terminal (--exact-terminals refuses this)")
        }
        return made
    }

    func completeTerminals() throws(Problem) {
        for (index, terminal) in terminals.sorted(by: { $0.key < $1.key }) {
            do throws(Errno) { try terminal.complete() } catch {
                throw Problem(
                    .fileUnopenable, "what terminal \(index) held cannot be put back",
                    cause: .init(error, attempted: "write and ioctl of the terminal"),
                    remedy: "Run Apus as root; where that does not help, report this")
            }
        }
        // Their masters go: they are hung up.
        hungUpTerminals = [:]
    }
}

/// A description of one side of a pseudo-terminal.
public struct TerminalSide: Resource {
    let entry: TtyFileEntry
    let info: TtyInfoEntry
    let stored: StoredTerminal

    init(_ entry: TtyFileEntry, _ info: TtyInfoEntry, of master: TtyInfoEntry, in images: CheckpointImages)
        throws(Problem)
    {
        self.entry = entry
        self.info = info
        stored = try StoredTerminal(master, in: images)
    }

    private var flags: OpenFlags { OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)) }

    public var description: String {
        let what =
            info.isMaster ? "the master of terminal" : info.type == .ctty ? "/dev/tty, which is terminal" : "terminal"
        let queued = (info.isMaster ? stored.queues.queues.output : stored.queues.queues.input).count
        return "\(what) \(stored.path)" + (queued > 0 ? " with \(queued) bytes queued" : "")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        guard site.exactTerminals, (try? Files.status(of: stored.path)) != nil else { return [] }
        return [
            Problem(
                .nameInUse, "the number of a terminal is taken", object: .init(path: stored.path.string),
                remedy:
                    "Restore without --exact-terminals, close that terminal (fuser \(stored.path) shows who has it), or restore in a mount namespace with"
                    + " a devpts file system of its own: unshare -m sh -c 'mount -t devpts -o"
                    + " newinstance,ptmxmode=0666 devpts /dev/pts; mount --bind /dev/pts/ptmx /dev/ptmx; apus restore ...'"
            )
        ]
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let terminal = try site.terminal(stored)
            if info.isMaster {
                let descriptor = try Files.duplicate(terminal.master.raw)
                try Files.setStatusFlags(descriptor.raw, flags)
                return descriptor
            }
            if info.type == .pty { return try terminal.openSlave(flags) }
            let slave = try terminal.openSlave([.readWrite, .nonBlocking])
            return try Terminal.openControlling(slave.raw, flags)
        } catch {
            throw Problem(
                .fileUnopenable, "\(description) cannot be opened",
                cause: .init(error, attempted: "open(\"\(stored.multiplexer)\"), ioctl(TIOCGPTPEER)"),
                remedy: error == .fileExists
                    ? "Somebody has just taken that number: try again"
                    : "See that devpts is mounted on /dev/pts, and that there is room below kernel.pty.max (sysctl)")
        }
    }
}

/// A description of a terminal that was hung up.
public struct HungUpTerminal: Resource {
    let entry: TtyFileEntry
    let info: TtyInfoEntry

    public var description: String { "terminal /dev/pts/\(info.pty.index), which is hung up" }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        let flags = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
        do throws(Errno) {
            let terminal: OpenTerminal
            if let known = site.hungUpTerminals[info.id] {
                terminal = known
            } else {
                // Its name leads nowhere any more, and its number can be another.
                terminal = try OpenTerminal(
                    min(info.pty.index, 1 << 20), from: "/dev/ptmx", anyNumber: true, nil)
                site.hungUpTerminals[info.id] = terminal
            }
            return try terminal.openSlave(flags)
        } catch {
            throw Problem(
                .fileUnopenable, "\(description), cannot be opened",
                cause: .init(error, attempted: "open(\"/dev/ptmx\"), ioctl(TIOCGPTPEER)"),
                remedy: "See that devpts is mounted on /dev/pts, and that there is room below kernel.pty.max (sysctl)")
        }
    }
}

extension Terminal.Settings {
    /// Whether a mask of locks has any.
    fileprivate var isAnySet: Bool {
        inputFlags | outputFlags | controlFlags | localFlags | UInt32(line) != 0
            || controlCharacters.contains { $0 != 0 }
    }
}

extension Terminal.WindowSize {
    /// As the images have it.
    public init(_ entry: WinsizeEntry) {
        self.init(
            rows: UInt16(truncatingIfNeeded: entry.wsRow), columns: UInt16(truncatingIfNeeded: entry.wsCol),
            width: UInt16(truncatingIfNeeded: entry.wsXpixel), height: UInt16(truncatingIfNeeded: entry.wsYpixel))
    }
}

extension Terminal.Settings {
    /// As the images have them.
    public init(_ entry: TermiosEntry) {
        // CRIU copies the 19 bytes into the first five of its 32-bit numbers; others store one in each.
        let isPacked = entry.cCc.contains { $0 > 255 }
        var characters = entry.cCc.flatMap { word in
            (0..<(isPacked ? 4 : 1)).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) }
        }
        characters += Array(repeating: 0, count: max(0, 19 - characters.count))
        self.init(
            inputFlags: entry.cIflag, outputFlags: entry.cOflag, controlFlags: entry.cCflag, localFlags: entry.cLflag,
            line: UInt8(truncatingIfNeeded: entry.cLine), controlCharacters: Array(characters.prefix(19)))
    }
}
