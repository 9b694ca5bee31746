internal import Glibc
internal import Synchronization

/// The wish to stop, from a signal or from a deadline. It is global because signals are.
///
/// The handlers only store a flag: the engine asks at its safe points, rolls back and throws. They are installed
/// without SA_RESTART, so that a blocking call returns EINTR and the engine comes by to ask. Never ask between a
/// commit and its end: what is committed goes through.
public enum Cancellation {
    /// The signal that asked for the end, or 0. A plain store and load: safe in a signal handler (signal-safety(7)).
    private static let signal = Atomic<Int32>(0)
    private static let installed = Atomic<Bool>(false)

    /// Catches SIGINT, SIGTERM and SIGHUP (where they are not ignored) and SIGALRM for the deadline.
    ///
    /// To be called once, early, on the main thread. Ignored signals stay ignored: nohup(1) relies on it.
    public static func install() {
        // Touched here first, so that no lazy initialisation ever happens in a handler.
        signal.store(0, ordering: .relaxed)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGALRM] {
            var old = sigaction()
            // unsafe: sigaction(2) by pointers to locals, and unions in its structure.
            guard unsafe sigaction(number, nil, &old) == 0 else { continue }
            if number != SIGALRM && isIgnored(old) { continue }
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { Cancellation.signal.store($0, ordering: .relaxed) }
            _ = unsafe sigaction(number, &action, nil)
        }
        // A caller may have blocked the signals of its threads, which its children inherit; the clock must not care.
        var alarm = sigset_t()
        // unsafe: sets of signals by pointers to locals.
        _ = unsafe sigemptyset(&alarm)
        _ = unsafe sigaddset(&alarm, SIGALRM)
        _ = unsafe pthread_sigmask(SIG_UNBLOCK, &alarm, nil)
        installed.store(true, ordering: .relaxed)
    }

    /// Gives the signals their default meaning back and stops the clock: for a tool that has done its work and now
    /// only waits for the restored program, or becomes another program.
    public static func uninstall() {
        guard installed.exchange(false, ordering: .relaxed) else { return }
        setDeadline(seconds: 0)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGALRM] {
            var old = sigaction()
            // unsafe: sigaction(2) by pointers to locals, and unions in its structure.
            guard unsafe sigaction(number, nil, &old) == 0, !isIgnored(old) else { continue }
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = SIG_DFL
            _ = unsafe sigaction(number, &action, nil)
        }
    }

    /// Starts the clock of `--timeout`: after so many seconds the work counts as cancelled. 0 stops the clock.
    ///
    /// A timer of real time (setitimer(2)) rather than a comparison of times, because it also ends a blocking call.
    public static func setDeadline(seconds: Int) {
        var value = itimerval()
        value.it_value.tv_sec = seconds
        // Again and again, for a first signal that falls just between a question and the blocking call after it.
        value.it_interval.tv_usec = seconds > 0 ? 100_000 : 0
        _ = unsafe setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &value, nil)  // unsafe: a pointer to a local
    }

    /// Whether somebody wants the work to stop.
    public static var requested: Bool { signal.load(ordering: .relaxed) != 0 }

    /// Asks for the end as a signal would: for tests, and for a peer that hung up.
    public static func request(signal number: Int32 = 15) { signal.store(number, ordering: .relaxed) }

    /// The signal that has asked for the end, once: for who passes it on.
    public static func take() -> Int32? {
        let number = signal.exchange(0, ordering: .relaxed)
        return number == 0 ? nil : number
    }

    /// Forgets an earlier wish: for tests.
    public static func reset() { signal.store(0, ordering: .relaxed) }

    /// Throws `timed-out` or `interrupted` if somebody wants the work to stop.
    public static func check() throws(Problem) {
        if let problem { throw problem }
    }

    /// What to tell the user about the wish, nil where there is none.
    public static var problem: Problem? {
        switch signal.load(ordering: .relaxed) {
        case 0: nil
        case SIGALRM:
            Problem(
                .timedOut, "the operation took longer than --timeout allows and was rolled back",
                remedy: "Give it more time with --timeout SECONDS (0 for no limit)")
        case let number:
            Problem(
                .interrupted, "signal \(number) asked to stop, and the operation was rolled back",
                remedy: "Run the command again")
        }
    }

    private static func isIgnored(_ action: sigaction) -> Bool {
        // SIG_IGN is the constant 1 cast to a function pointer, which Swift can only compare by its bits.
        unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }
}

extension Problem.Code {
    /// The time that `--timeout` gives ran out.
    public static let timedOut: Self = "timed-out"
    /// A signal asked to stop.
    public static let interrupted: Self = "interrupted"
}
