internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
public import Logging
internal import SystemPackage

/// Runs a program so that it can go on after a crash, a preemption or a move.
///
/// The program lives in a pid namespace of its own, of which this process' child is the init. So its pids are free
/// wherever it comes back, and none of it outlives the init: were Apus killed, the program is gone, too, and goes on
/// from its last checkpoint when the same command is given again. Never do two of it live. Dumps and restores are done
/// by `apus dump` and `apus restore`, executed in that namespace.
public enum Supervisor {
    /// Runs the program to its end, or to a checkpoint that was asked for.
    ///
    /// - Returns: the status to exit with: the program's own (128 and the number of the signal that killed it), or 75.
    /// - Throws: `store-busy`, `store-unusable`, `store-damaged`, `program-unstartable`.
    public static func run(_ options: RunOptions, logger: Logger) throws -> Int32 {
        guard let place = options.store else { return try StartedProgram.run(options, logger) }
        let store = try Store(place)
        if options.fresh { try store.clear() }
        let command = options.command.joined(separator: "\u{0}")
        let known = try store.text("command")
        if let old = known, old != command {
            throw Problem(
                .storeUnusable,
                "the store is that of another command: \(old.split(separator: "\u{0}").joined(separator: " "))",
                object: .init(path: store.path.string),
                remedy: "Name another store, or give --fresh to forget what is in this one")
        }
        if let end = try store.text("finished"), let status = Int32(end) {
            logger.warning("the program has finished already, with status \(status); --fresh starts it anew")
            return status
        }
        // It is there already where the program goes on.
        do throws(Errno) { if known == nil { try store.set("command", to: command) } } catch {
            throw Problem(
                .storeUnusable, "the store cannot be written to", object: .init(path: store.path.string),
                cause: .init(error, attempted: "write"), remedy: "Make room there, or name another store")
        }
        block()
        let inner = try enterNamespace()
        if inner != 0 { return watch(inner) }
        var inside = Inside(store, options, logger)
        return try inside.run()
    }

    /// The first pid of a program in a namespace: those below are for Apus, so that they are free when it comes back.
    static let firstPid = 1000

    /// Becomes two. The one inside is the init of a new pid namespace, with its own `/proc`, and dies with the other.
    ///
    /// - Returns: the pid of the one inside; 0 to that one.
    static func enterNamespace() throws(Problem) -> Int32 {
        do throws(Errno) {
            let outside = try Processes.open(getpid())
            try Processes.unshare(.pidsOfChildren)
            let inner = try Processes.fork()
            if inner != 0 { return inner }
            try Processes.setDeathSignal(SIGKILL)
            // It may have died before it was watched.
            var entries = [Files.PollEntry(outside.raw, .readable)]
            if try Files.poll(&entries, timeout: 0) > 0 { _exit(1) }
            try Processes.mountOwnProc()
            return 0
        } catch {
            throw Problem(
                .storeUnusable, "no pid namespace can be made for the program",
                cause: .init(error, attempted: "unshare(CLONE_NEWPID), mount of /proc"), remedy: "Run Apus as root")
        }
    }

    /// What the caller has open would hold the program to this host: it gets three descriptors, and no others.
    static func closeOthersOnExec() throws(Errno) {
        let (last, closesOnExec): (UInt, UInt) = (0xffff_ffff, 4)  // CLOSE_RANGE_CLOEXEC
        _ = try call(Int(SYS_close_range), 3, last, closesOnExec)
    }

    /// The status to exit with; nil for who has not ended.
    static func exitStatus(_ status: WaitStatus) -> Int32? {
        switch status {
        case .exited(let code): code
        case .killed(let signal, dumpedCore: _): 128 + signal
        case .stopped, .continued: nil
        }
    }

    /// What is taken by waiting for it, on both sides.
    static let signals = [SIGTERM, SIGINT, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2, SIGCHLD]

    static func block() {
        var set = sigset_t()
        // SAFETY: pointers to locals.
        unsafe sigemptyset(&set)
        for number in signals { unsafe sigaddset(&set, number) }
        unsafe sigprocmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for one of the signals.
    ///
    /// - Returns: 0 when the time, in nanoseconds, is over.
    static func wait(_ time: UInt64) -> Int32 {
        var set = sigset_t()
        // SAFETY: pointers to locals.
        unsafe sigemptyset(&set)
        for number in signals { unsafe sigaddset(&set, number) }
        var time = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        let number = unsafe sigtimedwait(&set, nil, &time)
        return max(number, 0)
    }

    /// The one outside passes signals on and waits.
    static func watch(_ inner: Int32) -> Int32 {
        while true {
            let signal = wait(1_000_000_000)
            if signal != 0 && signal != SIGCHLD { try? Processes.kill(inner, signal: signal) }
            guard let ended = try? Processes.wait(for: inner, [.noHang, .all]),
                let status = exitStatus(ended.status)
            else { continue }
            return status
        }
    }
}

/// The init of the program's namespace.
private struct Inside {
    private let store: Store
    private let options: RunOptions
    private let logger: Logger
    private var relays: [OutputRelay]
    private var root: Int32 = 0
    /// Checkpoints that could not be restored: they do not count among those that are kept.
    private var passedOver: Set<Int> = []

    init(_ store: Store, _ options: RunOptions, _ logger: Logger) {
        (self.store, self.options, self.logger) = (store, options, logger)
        relays = []
    }

    mutating func run() throws -> Int32 {
        store.settle()
        try Supervisor.closeOthersOnExec()
        // Of a run that was killed before its program went on.
        GrownFiles(store, logger).putBack()
        for number in try store.numbers() where store.completeness(number) == .cutOff {
            logger.warning("checkpoint \(number) was cut off before it was whole, and is removed")
            store.remove(number)
        }
        if try store.numbers().isEmpty {
            do throws(Problem) { try start() } catch {
                // Nothing has run: the store is nobody's.
                try? store.set("command", to: nil)
                throw error
            }
        } else {
            try resume()
        }
        var next = options.interval.map { now() + $0 }
        while true {
            let signal = Supervisor.wait(100_000_000)
            relays.indices.forEach { relays[$0].move() }
            if let ended = reap() { return finish(ended) }
            switch signal {
            case SIGTERM, SIGINT, SIGHUP, SIGXCPU:
                if checkpoint(ends: true) {
                    logger.warning("a checkpoint stands, and the program has ended: give the same command to go on")
                    return RunStatus.checkpointed
                }
                if let ended = reap() { return finish(ended) }
            case SIGUSR1: _ = checkpoint(ends: false)
            case SIGUSR2: try? Processes.kill(root, signal: SIGUSR2)
            default: break
            }
            if let time = next, let interval = options.interval, now() >= time {
                _ = checkpoint(ends: false)
                next = now() + interval
            }
        }
    }

    /// In nanoseconds, of a clock that nobody sets.
    private func now() -> UInt64 {
        var time = timespec()
        // SAFETY: a pointer to a local.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Takes note of children that have ended.
    ///
    /// - Returns: the status of the program where it was among them.
    private func reap() -> WaitStatus? {
        while let ended = try? Processes.wait(for: -1, [.noHang, .all]) {
            if ended.pid == root { return ended.status }
        }
        return nil
    }

    /// The program has ended. One that was killed has not finished: it may go on from its last checkpoint.
    private mutating func finish(_ status: WaitStatus) -> Int32 {
        relays.indices.forEach { relays[$0].move(waiting: true) }
        switch status {
        case .exited(let code):
            let isKept = (try? store.set("finished", to: "\(code)")) != nil
            (try? store.numbers())?.forEach(store.remove)
            // They may have made room for it.
            do throws(Errno) { if !isKept { try store.set("finished", to: "\(code)") } } catch {
                logger.error(
                    "the program has finished with status \(code), and the store cannot keep that (\(error.name)): the same command would start it anew"
                )
            }
            return code
        case .killed(let signal, dumpedCore: _):
            logger.warning("the program was killed by signal \(signal)")
            Processes.awaitOthersOfThisProgram()
            return 128 + signal
        case .stopped, .continued: return 1
        }
    }

    // MARK: Beginning

    private mutating func start() throws(Problem) {
        do throws(Errno) {
            try Processes.setLastPid(Supervisor.firstPid - 1)
            let input = try Files.open("/dev/null", .readOnly)
            let output = try Files.open(store.outputs[0], [.writeOnly, .create, .truncate, .append])
            let errors = try Files.open(store.outputs[1], [.writeOnly, .create, .truncate, .append])
            showOutput()
            root = try Subprocess.spawn(
                options.command, adding: options.variables, session: true,
                descriptors: [(0, input.raw), (1, output.raw), (2, errors.raw)])
        } catch {
            throw .notStarted(options.command[0], error)
        }
        logger.info("the program is started, with pid \(root) in its namespace")
    }

    private mutating func showOutput() {
        relays = zip(store.outputs, [STDOUT_FILENO, STDERR_FILENO]).map { OutputRelay($0, to: $1) }
    }

    /// Finds out what is damaged before anything is cut back by what it says.
    ///
    /// - Returns: the root of the tree.
    private static func examine(_ place: FilePath) throws(Problem) -> Int32 {
        let directory = try ImageDirectory(opening: place)
        if let manifest = try directory.manifest(), let difference = directory.differences(from: manifest).first {
            throw difference
        }
        return Int32(bitPattern: try directory.first(.pstree)?.pid ?? 0)
    }

    /// Brings the program back from the newest checkpoint that can be restored.
    private mutating func resume() throws(Problem) {
        let grown = GrownFiles(store, logger)
        for number in try store.numbers() {
            let place = store.checkpoint(number)
            let pid: Int32
            do throws(Problem) {
                pid = try Self.examine(place)
                try grown.cutBack(to: place)
            } catch {
                grown.putBack()
                if error.code == .storeUnusable { throw error }
                logger.warning("checkpoint \(number) cannot be read, and is passed over: \(error)")
                passedOver.insert(number)
                continue
            }
            showOutput()
            if apus(["restore", "-D", place.string, "-d", "-v1"] + options.passed) == 0 || runsOn(pid) {
                root = pid
                GrownFiles.forgetTails(in: store)
                // What starts from now on shall not have the pids that the next restore needs for itself.
                try? Processes.setLastPid(Supervisor.firstPid - 1)
                logger.info("the program goes on from checkpoint \(number)")
                return
            }
            grown.putBack()
            logger.warning("checkpoint \(number) cannot be restored, and is passed over")
            passedOver.insert(number)
        }
        throw Problem(
            .storeDamaged, "no checkpoint in the store can be restored now", object: .init(path: store.path.string),
            remedy:
                "Mend what is said above, and run it again: nothing is lost yet. (--fresh would forget what was computed)"
        )
    }

    /// Whether a restore that was killed had let the program run before. What it had not let run ends by itself.
    private func runsOn(_ root: Int32) -> Bool {
        for _ in 0..<20 where isThere(root) { usleep(50_000) }
        if isThere(root) { logger.warning("the restore has failed in the end, and the program runs") }
        return isThere(root)
    }

    private func isThere(_ pid: Int32) -> Bool { (try? !ProcessDirectory(pid).stat().state.hasEnded) ?? false }

    // MARK: Checkpoints

    /// Makes a checkpoint.
    ///
    /// - Returns: whether it stands. Without one the program runs on.
    private mutating func checkpoint(ends: Bool) -> Bool {
        // It has just ended by itself.
        if !isThere(root) { return false }
        guard let numbers = try? store.numbers() else {
            logger.warning("no checkpoint can be made: the store cannot be read")
            return false
        }
        let number = (numbers.first ?? 0) + 1
        let place = store.checkpoint(number)
        guard (try? Files.makeDirectory(place, mode: 0o700)) != nil else {
            logger.warning("checkpoint \(number) cannot be made: its directory cannot")
            return false
        }
        var arguments = ["dump", "-t", "\(root)", "-D", place.string, "--timeout", "0", "-v1"] + options.passed
        if !ends { arguments.append("--leave-running") }
        if apus(arguments) != 0 {
            let completeness = store.completeness(number)
            switch completeness {
            case .whole:
                // It was killed when the checkpoint stood, and may have ended a part of the program already.
                logger.warning("the dump was cut off when checkpoint \(number) stood already")
                if ends { endAll() }
            case .cutOff, .unknown:
                if completeness == .cutOff { store.remove(number) }
                logger.warning(
                    "checkpoint \(number) was not made; the program runs on (images go to the store, \(store.path), whatever --images-dir says)"
                )
                return false
            }
        }
        relays.indices.forEach { relays[$0].move(waiting: ends) }
        logger.info("checkpoint \(number) stands")
        // One that was passed over goes when as many good ones stand as are to be kept.
        let kept = numbers.filter { !passedOver.contains($0) }.prefix(options.keep - 1)
        if kept.count == options.keep - 1 {
            for old in numbers where !kept.contains(old) { store.remove(old) }
        }
        return true
    }

    /// Ends whoever is left in the namespace.
    private func endAll() {
        try? Processes.kill(-1, signal: SIGKILL)
        for _ in 0..<200 where isThere(root) { usleep(10_000) }
    }

    /// Executes Apus itself, and waits for it.
    private func apus(_ arguments: [String]) -> Int32 {
        guard let pid = try? Subprocess.spawn(["/proc/self/exe"] + arguments) else { return -1 }
        while true {
            guard let ended = try? Processes.wait(for: pid) else { return -1 }
            switch ended.status {
            case .exited(let code): return code
            case .killed: return -1
            case .stopped, .continued: continue
            }
        }
    }
}
