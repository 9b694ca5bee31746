internal import CLinux
public import SystemPackage
public import Tracing

/// The restrictions that a thread has put on itself (landlock(7)): a domain, which no file of `/proc` shows, no system
/// call tells, and nothing but the thread itself can make.
///
/// One thing about it can be seen. A thread in a domain may trace only what is in that domain too ("Ptrace restrictions"
/// of the kernel's documentation of Landlock), and to look at the state of another process counts as tracing. So the
/// thread is asked to look at a ``Bystander``, at which everybody of its user may look who is in no domain.
public enum Landlock {
    /// This kernel has it, and it is on.
    public static let isOn: Bool = {
        let createRuleset = 444
        let whichVersion: UInt = 1
        return apus_syscall(createRuleset, 0, 0, whichVersion, 0, 0, 0) > 0
    }()

    /// What came of the look.
    public enum Answer: Sendable, Equatable {
        /// The thread is in no domain, or Apus is in the same.
        case free
        /// It may not look, for which a domain is one reason.
        case forbidden
        /// It cannot be told.
        case unknown(Errno)
    }

    /// For a child of the thread, where the answer to ``Question`` has other reasons: how many more domains it can enter.
    /// They lie in one another, 16 at the most (landlock(7), "Ruleset layers"), so who can enter 16 was in none.
    public struct LayerQuestion: Sendable {
        public let calls: Batch
        private let ruleset: Int
        private let entries: [Int]

        public init() {
            var batch = Batch()
            let (noNewPrivileges, createRuleset, restrictSelf): (Int, Int, Int) = (38, 444, 446)
            batch.call(Int(SYS_prctl), .int(noNewPrivileges), 1, 0, 0, 0, expecting: Batch.anything)
            // LANDLOCK_ACCESS_FS_EXECUTE, the oldest of all.
            let handled = batch.buffer([1, 0, 0, 0, 0, 0, 0, 0])
            let ruleset = batch.call(createRuleset, .address(handled), 8, 0, expecting: Batch.anything)
            self.ruleset = ruleset
            entries = (0..<16).map { _ in batch.call(restrictSelf, .result(ruleset), 0, expecting: Batch.anything) }
            batch.call(Int(SYS_close), .result(ruleset), expecting: Batch.anything)
            calls = batch
        }

        public func answer(_ result: BatchResult) -> Answer {
            guard result[ruleset] >= 0 else { return .unknown(Errno(rawValue: Int32(clamping: -result[ruleset]))) }
            guard let refused = entries.first(where: { result[$0] != 0 }) else { return .free }
            let error = Errno(rawValue: Int32(clamping: -result[refused]))
            return error == .argListTooLong ? .forbidden : .unknown(error)
        }
    }

    /// The question of one batch.
    public struct Question: Sendable {
        let call: Int

        /// - Parameter bystander: of the real user and group of the thread.
        public init(_ bystander: Bystander, _ batch: inout Batch) {
            let head = batch.space(8)
            let length = batch.space(8)
            // Of the calls that look at another process without touching it, the one that every kernel has.
            call = batch.call(
                Int(SYS_get_robust_list), .value(UInt64(bystander.pid)), .address(head), .address(length),
                expecting: Batch.anything, for: "look at a process of its user")
        }

        public func answer(_ result: BatchResult) -> Answer {
            if result[call] >= 0 { return .free }
            let error = Errno(rawValue: Int32(clamping: -result[call]))
            return error == .notPermitted ? .forbidden : .unknown(error)
        }
    }
}
