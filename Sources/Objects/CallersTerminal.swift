internal import Linux

/// The terminal from which Apus was started.
public enum CallersTerminal {
    /// The first of standard input, output and error that is a terminal.
    public static func find() -> Int32? { (0...2).first { isTerminal($0) } }

    static func isTerminal(_ descriptor: Int32) -> Bool { Terminal.isTerminal(descriptor) }
}
