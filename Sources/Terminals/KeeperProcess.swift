public import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage

/// How the keeper of a terminal comes about, on the host that a tree comes to.
///
/// The program that was started there (the *supervisor*) makes the terminal and its socket, and a copy of itself: the keeper, in a session of its
/// own. The keeper starts the *receiver*, which takes the tree in the supervisor's place. When the receiver is done the keeper tells its status to the
/// supervisor, which ends with it. So three processes know of each other what they need to:
///
/// - The keeper adopts what the receiver leaves (PR_SET_CHILD_SUBREAPER, prctl(2)): it is the parent of the tree, and knows how that ends.
/// - It is there before the tree is, and whoever dies, it stays as long as the tree has the terminal open. A migration that fails
///   leaves a terminal that nobody has open, and the keeper ends.
/// - Where the supervisor ends, the keeper has the receiver give up, as far as that is still possible.
public enum KeeperProcess {
    /// The numbers of the descriptors that the receiver finds: the slave of the terminal, and what the supervisor has heard
    /// by then.
    public static let (terminal, message): (Int32, Int32) = (3, 4)

    /// Starts keeper and receiver, and waits for the receiver.
    ///
    /// - Parameters:
    ///   - tree: of the terminal to be; its path and its keeper are filled in.
    ///   - receiver: a program, with its arguments.
    ///   - input: its standard input, and output.
    ///   - message: what it is to read from the descriptor ``message``.
    ///   - leave: closes what only the receiver is to have.
    /// - Returns: its exit status; 1 where it was killed.
    /// - Throws: `terminal-unkeepable`.
    public static func run(
        _ tree: KeptTerminal, in folder: TerminalFolder, receiver: [String], input: Int32, output: Int32,
        message: [UInt8], leave: () -> Void
    ) throws(Problem) -> Int32 {
        let listener = try folder.listen(tree.id)
        let link: Int32
        do throws(Errno) {
            link = try start(tree, folder, listener, receiver, input, output, message)
        } catch {
            folder.remove(tree.id)
            throw Problem(
                .terminalUnkeepable, "no process can be started that keeps the terminal of the tree",
                cause: .init(error, attempted: "open(\"/dev/ptmx\"), fork"),
                remedy:
                    "See that devpts is mounted on /dev/pts, that there is room below kernel.pty.max (sysctl), and that"
                    + " processes can be made")
        }
        leave()
        defer { try? Files.close(link) }
        return wait(link)
    }

    private static func start(
        _ tree: KeptTerminal, _ folder: TerminalFolder, _ listener: borrowing OwnedDescriptor, _ receiver: [String],
        _ input: Int32, _ output: Int32, _ message: [UInt8]
    ) throws(Errno) -> Int32 {
        let master = try Terminal.openPair()
        try Terminal.setLocked(master.raw, false)
        try Files.setStatusFlags(master.raw, [.readWrite, .nonBlocking])
        let slave = try Terminal.openPeer(master.raw, [.readWrite, .noControllingTerminal])
        let note = try Files.memory(named: "apus-message", flags: 0)
        try Files.write(note.raw, message, at: 0)
        let link = try Files.socketPair()
        var kept = tree
        kept.path = "/dev/pts/\(try Terminal.pairNumber(master.raw))"
        if try Processes.fork() != 0 { return try Files.duplicate(link.first.raw, from: 3).release() }
        // From here on this is the keeper, which never returns; it does not say so by its type. What owns the descriptors is lent to
        // it, and on a way that has no end the compiler would let go of them before the call.
        kept.keeper = Processes.current
        return keep(kept, folder, listener, master, slave, note, link.second, receiver, input, output)
    }

    private static func keep(
        _ kept: KeptTerminal, _ folder: TerminalFolder, _ listener: borrowing OwnedDescriptor,
        _ master: borrowing OwnedDescriptor, _ slave: borrowing OwnedDescriptor, _ note: borrowing OwnedDescriptor,
        _ supervisor: borrowing OwnedDescriptor, _ receiver: [String], _ input: Int32, _ output: Int32
    ) -> Int32 {
        setsid()
        try? Processes.adoptOrphans(true)
        let heard = [SIGCHLD, SIGTERM]
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in heard + [SIGINT, SIGHUP, SIGQUIT, SIGTSTP] { unsafe sigaddset(&set, signal) }
        unsafe sigprocmask(SIG_BLOCK, &set, nil)
        do throws(Errno) {
            var open = Keeper.Descriptors(
                master: master.raw, listener: listener.raw, signals: -1, supervisor: supervisor.raw)
            let given: [(there: Int32, here: Int32)] = [
                (0, input), (1, output), (terminal, slave.raw), (message, note.raw),
            ]
            // Out of the way of the numbers that the receiver finds.
            let moved = try given.map { pair throws(Errno) in
                (there: pair.there, here: try Files.duplicate(pair.here, from: 10).release())
            }
            let mask = heard.reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) }
            open.signals = try Files.signals(mask).release()
            let pid = try Subprocess.spawn(receiver, descriptors: moved)
            try letGo(of: [open.master, open.listener, open.signals, open.supervisor ?? -1])
            Keeper(kept, folder, open, receiver: pid).run()
        } catch {
            // The supervisor finds that its end is closed.
            folder.remove(kept.id)
        }
        _exit(0)
    }

    /// Keeps nothing but what is its own: pipes of others would never be seen to end, and directories could not be unmounted.
    private static func letGo(of kept: Set<Int32>) throws(Errno) {
        let null = try Files.open("/dev/null", .readWrite)
        for number in 0...2 as ClosedRange<Int32> {
            try Files.duplicate(null.raw, as: number, closeOnExec: false)
        }
        _ = unsafe chdir("/")  // unsafe: a C string that lives during the call
        let open = try Files.entries(of: "/proc/self/fd").compactMap { Int32(String(decoding: $0.name, as: UTF8.self)) }
        // One of them was that of the listing, and has gone.
        for number in open where number > 2 && number != null.raw && !kept.contains(number) { try? Files.close(number) }
    }

    /// Waits for the status of the receiver.
    private static func wait(_ link: Int32) -> Int32 {
        while !Cancellation.requested {
            var entries = [Files.PollEntry(link, .readable)]
            guard ((try? Files.poll(&entries, timeout: 1_000_000_000)) ?? 0) > 0 else { continue }
            // Without a word where the keeper was killed.
            return (try? Files.readSome(link, atMost: 1))?.first.map { Int32($0) } ?? 1
        }
        return 1
    }
}
