public import CLinux
public import Diagnostics
internal import Images
public import Tracing

/// A wait with a time limit that the freeze has interrupted, and how much of the limit is left.
///
/// Of a sleep the kernel says it itself, where the program has asked to be told (the last argument of nanosleep(2)). Where
/// that is the place of the time, too, as in sleep(3), the call that is made again already asks for the rest. Of other
/// waits it is what is left by how long the thread has not run.
public struct InterruptedWait: Sendable, Equatable {
    /// What is left, in nanoseconds.
    public var left: UInt64
    /// CLOCK_*.
    public var clock: Int32

    private static let (poll, nanosleep, futex, restart, clockNanosleep): (UInt64, UInt64, UInt64, UInt64, UInt64) = (
        7, 35, 202, 219, 230
    )

    /// The system calls that go on with what is left (restart_syscall(2)).
    public static let calls: Set<UInt64> = [poll, nanosleep, futex, clockNanosleep]

    /// Whether a call, by its arguments, may wait for a limited time, and how much is left is of interest.
    public static func mayBeLimited(call: Int64, _ arguments: [UInt64]) -> Bool {
        guard arguments.count == 6 else { return false }
        // One that has been gone on with does not say which it is.
        if call == Int64(restart) { return true }
        return limit(UInt64(bitPattern: call), arguments) != nil
    }

    /// Where the limit of a call stands.
    private enum Limit {
        case nanoseconds(UInt64)
        /// A struct timespec.
        case at(UInt64)
    }

    private static func limit(_ call: UInt64, _ arguments: [UInt64]) -> Limit? {
        switch call {
        case poll:
            let milliseconds = Int32(truncatingIfNeeded: arguments[2])
            return milliseconds > 0 ? .nanoseconds(UInt64(milliseconds) * 1_000_000) : nil
        case nanosleep: return .at(arguments[0])
        case clockNanosleep:
            // TIMER_ABSTIME; and clocks that stand while the thread does.
            let isRelative = arguments[1] & 1 == 0
            return isRelative && [0, 1, 7, 11].contains(UInt32(truncatingIfNeeded: arguments[0]))
                ? .at(arguments[2]) : nil
        case futex:
            // FUTEX_WAIT, which alone has a relative limit; FUTEX_PRIVATE_FLAG may be there, FUTEX_CLOCK_REALTIME not.
            return UInt32(truncatingIfNeeded: arguments[1]) & ~128 == 0 && arguments[3] != 0 ? .at(arguments[3]) : nil
        case _: return nil
        }
    }

    /// - Parameters:
    ///   - registers: at the freeze.
    ///   - call: the number of the system call.
    ///   - waited: for how long it had waited, in nanoseconds, where that is known.
    public init?(_ registers: user_regs_struct, call: UInt64, waited: UInt64?, _ memory: ProcessMemory) {
        let restartBlock: Int64 = -516
        guard Int64(bitPattern: registers.rax) == restartBlock, Self.calls.contains(call) else { return nil }
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
        clock = call == Self.clockNanosleep ? Int32(truncatingIfNeeded: registers.rdi) : 1
        if call == Self.nanosleep || call == Self.clockNanosleep {
            let (asked, rest) =
                call == Self.nanosleep ? (registers.rdi, registers.rsi) : (registers.rdx, registers.r10)
            if rest == asked { return nil }
            if rest != 0 {
                guard let time = Self.time(at: rest, memory) else { return nil }
                left = time
                return
            }
        }
        guard let waited, let limit = Self.limit(call, arguments) else { return nil }
        let whole: UInt64
        switch limit {
        case .nanoseconds(let time): whole = time
        case .at(let place):
            guard let time = Self.time(at: place, memory) else { return nil }
            whole = time
        }
        // One that was over when it was seen has begun anew since.
        guard waited < whole else { return nil }
        left = whole - waited
    }

    private static func time(at place: UInt64, _ memory: ProcessMemory) -> UInt64? {
        guard let bytes = try? memory.read(RemoteAddress(place), count: 16) else { return nil }
        let (seconds, nanoseconds) = (bytes.littleEndian(UInt64.self, at: 0), bytes.littleEndian(UInt64.self, at: 8))
        guard seconds < 1 << 33, nanoseconds < 1_000_000_000 else { return nil }
        return seconds * 1_000_000_000 + nanoseconds
    }

    /// From the supplement of images.
    public init?(_ json: JSON?) {
        guard let left = json?["left"]?.bits, let clock = json?["clock"]?.bits, left < 1 << 63 else { return nil }
        self.left = left
        self.clock = Int32(truncatingIfNeeded: clock)
    }

    /// For the supplement.
    public var json: JSON { .object([.init("left", .number(left)), .init("clock", .number(clock))]) }
}
