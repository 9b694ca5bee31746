internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage

/// Holds the master of a terminal that a tree has, and lets one user at a time be joined to it.
///
/// A process of its own, that does nothing else: see ``KeeperProcess`` for how it comes about. It ends when the leader of the terminal's session does, or, where
/// there is none, when nobody has the terminal open any more. While nobody is joined, what is printed is read and the last part of it kept, so
/// that no program ever waits for a reader; who is joined and takes nothing for a while is left.
///
/// One loop over poll(2), and no threads: it is a copy of a process (fork(2)).
final class Keeper {
    /// What the keeper has open.
    struct Descriptors {
        var master, listener, signals: Int32
        /// To whom the receiver's end is told; its end means that the receiver is to end, too.
        var supervisor: Int32?
    }

    private var kept: KeptTerminal
    private let folder: TerminalFolder
    private var open: Descriptors
    /// Takes the tree, and is its parent until it ends; nil then.
    private var receiver: Int32?
    /// How the root has ended.
    private var end: WaitStatus?
    private var leader: Leader?
    private var guests: [Guest] = []
    private var joined: Guest?
    /// Printed while nobody was joined.
    private var unseen = WaitingBytes()
    /// Typed, and not taken by the terminal yet.
    private var typed = WaitingBytes()
    /// The size that the window is to have, and when: see `provokeRedraw`.
    private var size: (wanted: Terminal.WindowSize, at: UInt64)?
    /// Nobody has the terminal open for now: it is not looked at again before then.
    private var restsUntil: UInt64 = 0
    private var isOver = false

    /// In bytes: what is kept for whoever joins later, and what may be on its way in either direction.
    static let mostUnseen = 64 << 10
    private static let mostOnItsWay = 64 << 10
    private static let mostGuests = 16
    /// In nanoseconds: for how long whoever is joined may take nothing while the programs wait, or say nothing at first.
    private static let patience: UInt64 = 5_000_000_000
    private static let rest: UInt64 = 100_000_000
    /// Between the two sizes of a redraw: programs look at the size when they get around to it.
    private static let redrawPause: UInt64 = 80_000_000

    /// The leader of the session that the terminal controls.
    private final class Leader {
        let pid: Int32
        let descriptor: OwnedDescriptor

        init?(_ pid: Int32) {
            guard pid > 0, let descriptor = try? Processes.open(pid) else { return nil }
            self.pid = pid
            self.descriptor = descriptor
        }

        var hasEnded: Bool {
            var entries = [Files.PollEntry(descriptor.raw, .readable)]
            return ((try? Files.poll(&entries, timeout: 0)) ?? 1) > 0
        }
    }

    init(_ kept: KeptTerminal, _ folder: TerminalFolder, _ open: Descriptors, receiver: Int32) {
        (self.kept, self.folder, self.open, self.receiver) = (kept, folder, open, receiver)
    }

    /// Keeps the terminal to its end.
    func run() {
        while !isOver { step() }
        if receiver == nil { sayFarewell() }
        folder.remove(kept.id)
    }

    private var now: UInt64 { SystemClock.monotonic.now }

    // MARK: Waiting

    private func step() {
        findLeader()
        let nothing: Int32 = -1
        var master: Files.PollEvents = (joined?.unheard ?? 0) < Self.mostOnItsWay ? .readable : []
        if !typed.isEmpty { master.insert(.writable) }
        let isResting = now < restsUntil || master.isEmpty
        let hears = typed.count < Self.mostOnItsWay
        let asked = guests
        var entries = [
            Files.PollEntry(open.signals, .readable), Files.PollEntry(open.listener, .readable),
            Files.PollEntry(open.supervisor ?? nothing, .readable),
            Files.PollEntry(isResting ? nothing : open.master, master),
            Files.PollEntry(leader?.descriptor.raw ?? nothing, .readable),
        ]
        let own = entries.count
        entries += asked.map { $0.entry(hears: $0 === joined ? hears : true) }
        _ = try? Files.poll(&entries, timeout: patience)
        if entries[0].returned.contains(.readable) { hearSignals() }
        if !entries[1].returned.isEmpty { letIn() }
        if !entries[2].returned.isEmpty { endReceiver() }
        if !entries[3].returned.isEmpty { attend(entries[3].returned) }
        for (guest, entry) in zip(asked, entries[own...]) where !entry.returned.isEmpty {
            attend(guest, entry.returned)
        }
        if let size, now >= size.at { settle(size.wanted) }
        dismissTheQuiet()
        if receiver == nil, leader?.hasEnded == true { isOver = true }
    }

    /// How long nothing has to be done unless something happens.
    private var patience: UInt64? {
        var times: [UInt64] = []
        if let size { times.append(size.at) }
        if restsUntil > now { times.append(restsUntil) }
        // Somebody may be too quiet, or the session begin yet, which nobody tells.
        let isWatching = guests.contains { $0 !== joined } || (joined?.unheard ?? 0) > 0
        if isWatching || leader == nil { times.append(now + 1_000_000_000) }
        return times.min().map { $0 > now ? $0 - now : 0 }
    }

    private func hearSignals() {
        // struct signalfd_siginfo begins with the number, and has 128 bytes.
        guard let bytes = try? Files.readSome(open.signals, atMost: 16 * 128) else { return }
        let numbers = stride(from: 0, to: bytes.count, by: 128).map { Int32(bytes[$0]) }
        if numbers.contains(SIGCHLD) { takeNoteOfEnds() }
        if numbers.contains(SIGTERM) {
            isOver = true
            endReceiver()
        }
    }

    /// Waits for those that have ended: the receiver, the root, and orphans of the tree, whose parent this process is.
    private func takeNoteOfEnds() {
        while let ended = try? Processes.wait(for: -1, [.noHang, .all]) {
            if ended.pid == receiver {
                receiver = nil
                if let supervisor = open.supervisor {
                    var status: UInt8 = 1
                    if case .exited(let code) = ended.status { status = UInt8(truncatingIfNeeded: code) }
                    try? Files.write(supervisor, [status])
                    try? Files.close(supervisor)
                    open.supervisor = nil
                }
            } else if ended.pid == kept.pid {
                end = ended.status
            }
        }
    }

    /// Who has started all this has gone, or this process is to end: the receiver gives up, unless the tree runs already.
    private func endReceiver() {
        if let receiver { try? Processes.kill(receiver, signal: SIGTERM) }
        if let supervisor = open.supervisor { try? Files.close(supervisor) }
        open.supervisor = nil
    }

    // MARK: The terminal

    private func findLeader() {
        guard leader == nil, receiver == nil, let session = try? Terminal.session(open.master) else { return }
        leader = Leader(session)
        kept.leader = leader?.pid
    }

    private func attend(_ events: Files.PollEvents) {
        if events.contains(.writable), !typed.isEmpty {
            // What nobody can read any more is not kept.
            if (try? typed.write(to: open.master)) == nil { _ = typed.takeAll() }
        }
        if !events.isDisjoint(with: [.readable, .hangUp, .error]) { _ = readOnce() }
    }

    /// - Returns: whether there was something to read.
    private func readOnce() -> Bool {
        do throws(Errno) {
            let printed = try Files.readSome(open.master, atMost: 16 << 10)
            if let joined {
                joined.say(printed)
            } else {
                unseen.append(printed)
                unseen.keepLast(Self.mostUnseen)
            }
            return !printed.isEmpty
        } catch {
            if error == .wouldBlock || error == .interrupted { return false }
            // EIO: nobody has it open.
            if receiver == nil, leader == nil { isOver = true }
            restsUntil = now + Self.rest
            return false
        }
    }

    private func settle(_ wanted: Terminal.WindowSize) {
        size = nil
        try? Terminal.setWindowSize(open.master, wanted)
    }

    /// Has the programs draw their screens anew: they do so where the size of the window changes, for which the kernel sends
    /// SIGWINCH. Where it is what it was, it changes for a moment.
    private func provokeRedraw(_ wanted: Terminal.WindowSize) {
        let present = (try? Terminal.windowSize(open.master)) ?? wanted
        guard wanted == present, wanted.rows > 0 else { return settle(wanted) }
        var other = wanted
        other.rows = wanted.rows > 1 ? wanted.rows - 1 : 2
        settle(other)
        size = (wanted, now + Self.redrawPause)
    }

    /// A job that was stopped (Ctrl-Z) has left behind the shell that could let it go on.
    private func continueStopped() {
        guard let leader, let stat = try? ProcessDirectory(leader.pid).stat(), stat.state == .stopped else { return }
        try? Processes.kill(-stat.processGroup, signal: SIGCONT)
    }

    // MARK: Guests

    private func letIn() {
        guard let socket = try? Sockets.accept(open.listener) else { return }
        guard let peer = try? Sockets.peerCredentials(of: socket.raw), peer.uid == 0 || peer.uid == geteuid(),
            let guest = try? Guest(socket, pid: peer.pid)
        else { return }
        if guests.count >= Self.mostGuests, let oldest = guests.first(where: { $0 !== joined }) { dismiss(oldest) }
        guests.append(guest)
    }

    private func dismiss(_ guest: Guest) {
        guests.removeAll { $0 === guest }
        guard guest === joined else { return }
        joined = nil
        kept.attached = nil
        if let size { settle(size.wanted) }
    }

    private func dismissTheQuiet() {
        for guest in guests where now > guest.quietSince + Self.patience && (guest !== joined || guest.unheard > 0) {
            dismiss(guest)
        }
    }

    private func attend(_ guest: Guest, _ events: Files.PollEvents) {
        if !events.isDisjoint(with: [.readable, .hangUp, .error]), !guest.isLeaving {
            guard let words = guest.hear() else { return dismiss(guest) }
            for word in words where !guest.isLeaving { answer(word, of: guest) }
        }
        if !guest.flush() { dismiss(guest) }
    }

    private func answer(_ word: TerminalWord, of guest: Guest) {
        switch word.kind {
        case .look:
            guest.say(TerminalWord(.status, kept.json))
            guest.leave()
        case .join: join(guest, word.json)
        case .input where guest === joined: typed.append(word.body)
        case .size where guest === joined:
            if let wanted = Self.size(word.json) { settle(wanted) }
        default: guest.leave()
        }
    }

    private static func size(_ json: JSON) -> Terminal.WindowSize? {
        guard let rows = json["rows"]?.extent, let columns = json["columns"]?.extent, rows > 0, columns > 0 else {
            return nil
        }
        return .init(rows: rows, columns: columns)
    }

    private func join(_ guest: Guest, _ wish: JSON) {
        guest.name = wish["who"]?.string ?? ""
        if let joined {
            guard wish["take"]?.isTrue == true else {
                guest.say(TerminalWord(.refused, ["by": .string(joined.description)]))
                return guest.leave()
            }
            joined.say(TerminalWord(.taken, ["by": .string(guest.description)]))
            joined.leave()
        }
        joined = guest
        kept.attached = guest.description
        guest.say(TerminalWord(.joined, kept.json))
        guest.say(unseen.takeAll())
        // There are terminals that do not know their size.
        if let wanted = Self.size(wish) ?? (try? Terminal.windowSize(open.master)) { provokeRedraw(wanted) }
        continueStopped()
    }

    // MARK: The end

    /// What was printed last, and how it ended, is for whoever is joined.
    private func sayFarewell() {
        let limit = now + Self.patience
        while readOnce(), (joined?.unheard ?? 0) < 16 * Self.mostOnItsWay {}
        // The leader may have ended before it was a child of this process.
        while end == nil, leader?.pid == kept.pid, now < limit {
            takeNoteOfEnds()
            if end == nil { usleep(10_000) }
        }
        guard let joined else { return }
        joined.say(TerminalWord(.ended, ["status": end.map { .integer(Int64($0.word)) } ?? .null]))
        joined.leave()
        while now < limit, joined.flush() {
            var entries = [joined.entry(hears: false)]
            _ = try? Files.poll(&entries, timeout: 200_000_000)
        }
    }
}
