public import CLinux
public import Diagnostics
internal import Images
public import Tracing

/// A sleep that the freeze has interrupted, and of which the kernel has said how much is left: where the program asked to be
/// told (the last argument of nanosleep(2)).
///
/// Where it did not ask, nothing shows how long it has slept, and the sleep begins anew. Where it gave the same place for
/// the time and the rest, as sleep(3) does, the call that is made again already asks for the rest.
public struct InterruptedSleep: Sendable, Equatable {
    /// What is left, in nanoseconds.
    public var left: UInt64
    /// CLOCK_*.
    public var clock: Int32

    static let (nanosleep, clockNanosleep): (UInt64, UInt64) = (35, 230)

    /// - Parameters:
    ///   - registers: at the freeze.
    ///   - call: the number of the system call.
    public init?(_ registers: user_regs_struct, call: UInt64, _ memory: ProcessMemory) {
        let restartBlock: Int64 = -516
        guard Int64(bitPattern: registers.rax) == restartBlock else { return nil }
        let (asked, rest): (UInt64, UInt64)
        switch call {
        case Self.nanosleep: (asked, rest, clock) = (registers.rdi, registers.rsi, 1)
        case Self.clockNanosleep:
            (asked, rest, clock) = (registers.rdx, registers.r10, Int32(truncatingIfNeeded: registers.rdi))
        case _: return nil
        }
        guard rest != 0, rest != asked, let bytes = try? memory.read(RemoteAddress(rest), count: 16) else {
            return nil
        }
        let (seconds, nanoseconds) = (bytes.littleEndian(UInt64.self, at: 0), bytes.littleEndian(UInt64.self, at: 8))
        guard seconds < 1 << 33, nanoseconds < 1_000_000_000 else { return nil }
        left = seconds * 1_000_000_000 + nanoseconds
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
