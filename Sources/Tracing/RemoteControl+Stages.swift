internal import CLinux
public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// The way under control and out of it.
///
/// Each takes some half a dozen stops, one after another, at each of which the process has to be waited for: the time goes with
/// waiting for it to be woken. Those of several processes have nothing to do with each other. So both ways are cut into
/// steps, each of which waits for what the one before has begun and begins the next thing: who takes such steps in several
/// processes in turns finds most of them done already.
extension RemoteControl {
    /// How far a process has come.
    enum Stage: Equatable {
        /// Nothing of Apus' is in it.
        case outside
        /// The leader is stopped, nothing is under way, and there may be something to be taken back.
        case halted
        /// It makes the mailbox, and the channel.
        case mapping(Call), pairing(Call)
        /// It asks for its limit of open files, or sets it.
        case limiting(Call)
        /// It makes its first calls on the trampoline.
        case reporting
        /// It waits for what it is told.
        case inside
        /// It has been asked to leave the trampoline.
        case stopping
        /// It takes back what it has made.
        case closing(Call), unmapping
        /// It has been asked for the last stop.
        case settling

        /// Which stop of a call is waited for.
        enum Call: Equatable { case entry, exit }
    }

    /// How long it may take to put things back, in nanoseconds.
    private static let timeToLeave: UInt64 = 5_000_000_000

    // MARK: Entering

    /// Takes the process under control: makes the mailbox and the channel in it.
    func enter() throws(Problem) {
        while try !enterFurther() {}
    }

    /// Goes one step on the way under control.
    ///
    /// - Returns: whether it is under control.
    public func enterFurther() throws(Problem) -> Bool {
        switch stage {
        case .inside: return true
        case .outside: try beginMailbox()
        case .mapping(.entry):
            try passEntry()
            stage = .mapping(.exit)
        case .mapping(.exit):
            try takeMailbox(try finishCall())
            try beginChannel()
        case .pairing(.entry):
            try passEntry()
            stage = .pairing(.exit)
        case .pairing(.exit):
            let result = try finishCall()
            if result == -Int64(EMFILE) { try pairWithRoomForFiles() } else { try takeChannel(result) }
            try beginReport()
        case .reporting:
            try awaitReport(slot: 0)
            theirs.removeLast()
            stage = .inside
        case .halted, .limiting, .stopping, .closing, .unmapping, .settling:
            preconditionFailure("a process that is on its way out has to come out first")
        }
        return stage == .inside
    }

    private func beginMailbox() throws(Problem) {
        Steps.take()
        try write(cave.code, at: cave.base)
        try save(leader, slot: 0)
        stage = .halted
        // A 32-bit program has all of its memory below 4 GiB, and calls of its kind reach nothing else (MAP_32BIT).
        let below: Int32 = isCompat ? 0x40 : 0
        let size = UInt64(Self.mailboxSize)
        let protection = PROT_READ | PROT_WRITE | (isCompat ? PROT_EXEC : 0)
        try beginCall(
            Int(SYS_mmap),
            [0, size, UInt64(protection), UInt64(MAP_SHARED | MAP_ANONYMOUS | below), UInt64.max, 0],
            undo: .init(mappingLength: size))
        stage = .mapping(.entry)
    }

    private func takeMailbox(_ result: Int64) throws(Problem) {
        stage = .halted
        guard result > 0 else { throw refused("mmap", result, "Raise its RLIMIT_AS (prlimit --as) and try again") }
        mailbox = RemoteAddress(UInt64(result))
    }

    private func beginChannel() throws(Problem) {
        if isCompat { try write(Trampoline.core, at: mailbox + Layout.core) }
        var initial: [UInt8] = []
        initial.append(littleEndian: UInt64.max)
        initial.append(littleEndian: UInt64(0))
        initial.append(littleEndian: UInt64(1))
        try write(initial, at: mailbox + Layout.descriptors)
        try beginPair()
    }

    private var undoOfPair: Undo {
        var undo = Undo()
        undo.mailbox = mailbox
        undo.descriptors = mailbox + Layout.descriptors
        return undo
    }

    private func beginPair() throws(Problem) {
        let descriptors = mailbox + Layout.descriptors
        try beginCall(
            Int(SYS_socketpair),
            [UInt64(AF_UNIX), UInt64(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, descriptors.raw],
            undo: undoOfPair)
        stage = .pairing(.entry)
    }

    /// A process that has as many files open as its soft limit lets it have is given its hard limit for this one call: were
    /// Apus killed within these microseconds, it would keep that.
    private func pairWithRoomForFiles() throws(Problem) {
        let (own, raised) = (mailbox + Layout.batch, mailbox + Layout.batch + 16)
        guard try limit(to: nil, orInto: own) == 0 else { return try takeChannel(-Int64(EMFILE)) }
        let hard = try read(own + 8, count: 8)
        try write(hard + hard, at: raised)
        guard try limit(to: raised) == 0 else { return try takeChannel(-Int64(EMFILE)) }
        try beginPair()
        try passEntry()
        stage = .pairing(.exit)
        let result = try finishCall()
        var failure: Problem?
        // Known before anything else is tried, to be taken back.
        do throws(Problem) { try takeChannel(result) } catch { failure = error }
        _ = try limit(to: own)
        if let failure { throw failure }
    }

    /// prlimit(2) of its number of open files, in one go.
    private func limit(
        to new: RemoteAddress?, orInto old: RemoteAddress? = nil
    ) throws(Problem) -> Int64 {
        try beginCall(
            Int(SYS_prlimit64), [0, UInt64(Processes.numberOfFiles), new?.raw ?? 0, old?.raw ?? 0], undo: undoOfPair)
        stage = .limiting(.entry)
        try passEntry()
        stage = .limiting(.exit)
        let result = try finishCall()
        stage = .halted
        return result
    }

    private func takeChannel(_ result: Int64) throws(Problem) {
        stage = .halted
        guard result == 0 else {
            throw refused(
                "socketpair", result,
                result == -Int64(EACCES)
                    ? "A security module forbids it Unix sockets: add \"network unix,\" to its AppArmor profile, or what"
                        + " SELinux asks for"
                    : "Raise its limit of open files (prlimit --nofile) and try again")
        }
        let pair = try read(mailbox + Layout.descriptors, count: 8)
        theirs = [pair.littleEndian(UInt32.self, at: 0), pair.littleEndian(UInt32.self, at: 4)]
        channel = try Channel(takingFrom: leader.tid, of: process.pid, pair.littleEndian(Int32.self, at: 4))
    }

    private func beginReport() throws(Problem) {
        // The process's own copy of Apus' end has to go before anything else: while it is open the thread would wait
        // for itself.
        var first = Batch()
        let other = try read(mailbox + (Layout.descriptors + 4), count: 4).littleEndian(UInt32.self, at: 0)
        first.call(Int(SYS_close), .value(UInt64(other)))
        let base = mailbox + Layout.batch
        try write(first.encoded(at: base), at: base)
        try start(leader, slot: 0, batch: base, count: 1)
        stage = .reporting
    }

    // MARK: Leaving

    /// Puts the process back as it was: descriptors, mappings, registers, signal mask. It stays stopped.
    public func release() throws(Problem) {
        timeToLeave = nil
        while try !leaveFurther() {}
    }

    /// Goes one step on the way out, from wherever it is.
    ///
    /// - Returns: whether the process is as it was.
    public func leaveFurther() throws(Problem) -> Bool {
        // Putting things back has its own time, and no wish to stop ends it.
        let limit = timeToLeave ?? Deadline(nanoseconds: Self.timeToLeave)
        timeToLeave = limit
        switch stage {
        case .outside: break
        case .mapping(.entry), .pairing(.entry), .mapping(.exit), .pairing(.exit): try finishEntering()
        case .limiting(.entry):
            try passEntry()
            stage = .limiting(.exit)
        case .limiting(.exit):
            _ = try finishCall()
            stage = .halted
            try takeBack()
        case .reporting, .inside:
            try leader.askToStop()
            stage = .stopping
        case .stopping:
            try leader.waitForStop(limit)
            stage = .halted
            try takeBack()
        case .halted: try takeBack()
        case .closing(.entry):
            try passEntry()
            stage = .closing(.exit)
        case .unmapping:
            // It stops once more behind this call, the last: one stop less than at its exit and behind it.
            try leader.waitForSystemCallStop(limit)
            roundTrips += 1
            mailbox = RemoteAddress(0)
            try beginSettling()
        case .closing(.exit):
            _ = try finishCall()
            stage = .halted
            theirs.removeLast()
            try takeBack()
        case .settling:
            try leader.waitForStop(limit)
            Steps.take()
            try leader.assume(leader.registers, mask: leader.signalMask, through: wayBack(of: leader, slot: 0))
            try write(original, at: cave.base)
            channel = nil
            stage = .outside
        }
        if stage == .outside { timeToLeave = nil }
        return stage == .outside
    }

    /// A call that was under way when something went wrong: what it has made has to be known, to be taken back.
    private func finishEntering() throws(Problem) {
        switch stage {
        case .mapping(.entry):
            try passEntry()
            stage = .mapping(.exit)
        case .pairing(.entry):
            try passEntry()
            stage = .pairing(.exit)
        case .mapping(.exit): try takeMailbox(try finishCall())
        case .pairing(.exit): try takeChannel(try finishCall())
        case .outside, .halted, .limiting, .reporting, .inside, .stopping, .closing, .unmapping, .settling: break
        }
    }

    /// Begins with the next thing that is still there, or with the last stop.
    private func takeBack() throws(Problem) {
        var undo = Undo()
        undo.mailbox = mailbox
        if let descriptor = theirs.last {
            try beginCall(Int(SYS_close), [UInt64(descriptor)], undo: undo)
            stage = .closing(.entry)
        } else if mailbox.raw != 0 {
            try beginCall(Int(SYS_munmap), [mailbox.raw, UInt64(Self.mailboxSize)], undo: Undo())
            stage = .unmapping
        } else {
            try beginSettling()
        }
    }

    /// Asks for the last stop: from one within the handling of signals the kernel restarts an interrupted system call itself, and
    /// gives a signal that came meanwhile the last word on it.
    private func beginSettling() throws(Problem) {
        try leader.askToStopBeforeUserMode()
        stage = .settling
    }

    /// What the death of Apus looks like from the process: nobody holds the channel, nobody traces.
    func abandonForTest() {
        stage = .outside
        try? leader.interrupt(deadline)
        channel = nil
    }
}
