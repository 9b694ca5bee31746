public import SystemPackage

/// What the user asked of `apus run`, already validated.
public struct RunOptions: Sendable {
    /// The program and its arguments.
    public var command: [String]
    /// Where checkpoints and the output of the program are kept (`--store`); nil where it is only started.
    public var store: FilePath?
    /// Nanoseconds between two checkpoints (`--every`); nil for none but those that are asked for by signals.
    public var interval: UInt64?
    /// How many checkpoints are kept (`--keep`).
    public var keep = 3
    /// Forget what is in the store and begin anew (`--fresh`).
    public var fresh = false
    /// Added to the program's environment, `NAME=value`.
    public var variables: [String] = []
    /// Options that dumps and restores get.
    public var passed: [String] = []

    /// The program gets a pid namespace of its own (`--pid-namespace`). With a store it always has one.
    public var ownNamespace = false
    /// Where its pid is written (`--pidfile`); without a store.
    public var pidFile: FilePath?

    public init(command: [String], store: FilePath?) {
        self.command = command
        self.store = store
    }

    /// A span of time as people write it: `200ms`, `30s`, `10m`, `2h`; a number alone is seconds.
    ///
    /// - Returns: nanoseconds; nil for what is no such text, and for nothing.
    public static func interval(_ text: String) -> UInt64? {
        let units: [(String, UInt64)] = [
            ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ]
        for (unit, size) in units where text.hasSuffix(unit) {
            guard let number = UInt64(text.dropLast(unit.count)), (1...1_000_000_000).contains(number) else {
                return nil
            }
            return number * size
        }
        guard let number = UInt64(text), (1...1_000_000_000).contains(number) else { return nil }
        return number * 1_000_000_000
    }
}

/// How `apus run` ends where it is not by the program's own status.
public enum RunStatus {
    /// EX_TEMPFAIL (sysexits.h): the program has been checkpointed and goes on when the same command is given again.
    public static let checkpointed: Int32 = 75
}
