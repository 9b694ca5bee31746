/// Names of signals, for messages (signal(7)).
public enum SignalName {
    private static let names: [StaticString] = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
        "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP",
        "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",
        "SIGPWR", "SIGSYS",
    ]

    /// The name of a signal of x86-64 and arm64; real-time signals count from SIGRTMIN as the C library gives it, 34.
    public static func of(_ signal: Int32) -> String {
        switch signal {
        case 1...31: String(describing: names[Int(signal) - 1])
        case 34: "SIGRTMIN"
        case 35...63: "SIGRTMIN+\(signal - 34)"
        case 64: "SIGRTMAX"
        default: "signal \(signal)"
        }
    }
}
