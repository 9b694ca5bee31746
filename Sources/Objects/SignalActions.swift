internal import CLinux
public import Images
public import Tracing

/// What a process does about each signal (rt_sigaction(2)).
public struct SignalActions: Sendable {
    /// One signal's handling, as the kernel keeps it.
    public struct Action: Sendable, Equatable {
        /// 0 default, 1 ignored, or an address.
        public var handler: UInt64
        public var flags: UInt64
        public var restorer: UInt64
        public var mask: UInt64

        /// Whether a function of the program runs.
        public var isHandled: Bool { handler > 1 }
        /// SA_RESTART.
        public var restarts: Bool { flags & 0x1000_0000 != 0 }
    }

    /// By signal, 1 to 64. Those of SIGKILL and SIGSTOP cannot be changed.
    public var actions: [Action]

    /// Signals whose action is always the default.
    public static let fixed: Set<Int> = [9, 19]

    /// The questions of one batch.
    public struct Questions: Sendable {
        let buffers: [Batch.Buffer]

        public init(_ batch: inout Batch) {
            var buffers: [Batch.Buffer] = []
            for signal in 1...64 {
                let buffer = batch.space(32)
                batch.call(
                    Int(SYS_rt_sigaction), .int(signal), 0, .address(buffer), 8,
                    for: "read its action for signal \(signal)")
                buffers.append(buffer)
            }
            self.buffers = buffers
        }

        public func answer(_ result: BatchResult) -> SignalActions {
            SignalActions(
                actions: buffers.map { buffer in
                    Action(
                        handler: result.integer(UInt64.self, in: buffer),
                        flags: result.integer(UInt64.self, in: buffer, at: 8),
                        restorer: result.integer(UInt64.self, in: buffer, at: 16),
                        mask: result.integer(UInt64.self, in: buffer, at: 24))
                })
        }
    }

    /// For `sigactions` of the core image: in the order of the signals, the fixed ones left out.
    ///
    /// - Parameter compat: they are those of a 32-bit program, whose handlers get frames of their own kind.
    public func entries(compat: Bool) -> [SaEntry] {
        actions.enumerated().filter { !Self.fixed.contains($0.offset + 1) }.map { _, action in
            var entry = SaEntry()
            entry.sigaction = action.handler
            entry.flags = action.flags
            entry.restorer = action.restorer
            entry.mask = action.mask
            entry.compatSigaction = compat
            return entry
        }
    }

    /// Whether a function of the program runs at a signal.
    public func catches(_ signal: Int32) -> Bool {
        let index = Int(signal) - 1
        return actions.indices.contains(index) && actions[index].isHandled
    }

    /// Whether the handler that the kernel would run first, of the signals pending and not blocked, ends system calls.
    ///
    /// - Returns: nil where no handler would run.
    public func interrupts(pending: UInt64, blocked: UInt64) -> Bool? {
        let ready = pending & ~blocked
        for signal in 1...64 where ready & 1 << UInt64(signal - 1) != 0 {
            let action = actions[signal - 1]
            if action.isHandled { return !action.restarts }
        }
        return nil
    }
}

/// Signals that wait (sigpending(2)), with what their senders sent along.
public enum PendingSignals {
    /// The message for a queue.
    public static func entry(_ queue: [[UInt8]]) -> SignalQueueEntry {
        var entry = SignalQueueEntry()
        entry.signals = queue.map { SiginfoEntry(bytes: $0) }
        return entry
    }

    /// The set of the signals in a queue; signal N in bit N-1.
    public static func set(_ queue: [[UInt8]]) -> UInt64 {
        queue.reduce(0) { set, info in
            let signal = info.littleEndian(Int32.self, at: 0)
            return (1...64).contains(signal) ? set | 1 << UInt64(signal - 1) : set
        }
    }
}
