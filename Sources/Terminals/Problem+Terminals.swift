public import Diagnostics

extension Problem.Code {
    /// Neither the input nor the output of Apus is a terminal, and somebody was to be joined to another by it.
    public static let notATerminal: Self = "not-a-terminal"
    /// No such terminal is kept on this host.
    public static let terminalUnknown: Self = "terminal-unknown"
    /// Somebody else is joined to the terminal.
    public static let terminalInUse: Self = "terminal-in-use"
    /// Whoever kept the terminal has gone.
    public static let terminalLost: Self = "terminal-lost"
    /// No process can be started that keeps the terminal.
    public static let terminalUnkeepable: Self = "terminal-unkeepable"
}
