internal import CTrampoline
internal import Glibc
internal import Linux
public import SystemPackage

/// Sees to it that TCP connections are not left in repair mode when Apus is killed.
///
/// A process with a socket in repair mode (`Sockets.setRepair`) would be cut off: the mode is a property of the socket
/// and outlives Apus. So a copy of Apus holds the sockets and waits for the end of Apus, which it sees in a pipe. What
/// it does then depends on a word in memory that both share.
public final class ConnectionGuard {
    /// A connection.
    public struct Connection: Sendable {
        public var socket: Int32
        /// SO_REUSEADDR, which ends with repair mode and has to be set again.
        public var sharesAddress: Bool
        public init(socket: Int32, sharesAddress: Bool) {
            self.socket = socket
            self.sharesAddress = sharesAddress
        }
    }

    /// What the guard does.
    public struct Actions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// The connection that Apus was at leaves repair mode.
        public static let leaveCurrent = Actions(rawValue: APUS_GUARD_LEAVES_CURRENT)
        public static let leaveAll = Actions(rawValue: APUS_GUARD_LEAVES)
        public static let enterAll = Actions(rawValue: APUS_GUARD_ENTERS)
        public static let killTree = Actions(rawValue: APUS_GUARD_KILLS)
    }

    /// What happens if Apus ends while the word is 0, or is not.
    public struct Outcome: Sendable {
        public var actions: Actions
        /// A transaction of the packet filter; nothing where it is empty.
        public var message: [UInt8]
        public init(_ actions: Actions, _ message: [UInt8] = []) {
            self.actions = actions
            self.message = message
        }
    }

    private let pid: Int32
    private let lifeline: OwnedDescriptor
    /// The word of the outcome, where it is the guard's own, and the number of the connection that is worked at.
    private let words: MappedRegion
    private var isDismissed = false

    /// Starts the guard. Connections are in no danger from then on.
    ///
    /// - Parameters:
    ///   - kept: descriptors that shall not be closed before the guard has done its work.
    ///   - victims: the processes that it may have to kill.
    ///   - word: the address of the word that decides, shared memory of 32 bits that stays mapped; nil for one of its
    ///     own (`decide`).
    public init(
        _ connections: [Connection], keeping kept: [Int32], victims: [Int32], undecided: Outcome, decided: Outcome,
        word: UInt? = nil
    ) throws(Errno) {
        let ends = try Files.pipe()
        let file = try Files.memory(named: "apus-guard", flags: MemoryFileFlag.closeOnExec)
        try Files.truncate(file.raw, to: 4096)
        words = try MappedRegion(of: file.raw, count: 4096)
        var handles: [Int32] = []
        defer { for handle in handles { try? Files.close(handle) } }
        for pid in victims { handles.append(try Processes.open(pid).release()) }
        let guarded = connections.map { apus_guarded(socket: $0.socket, shares_address: $0.sharesAddress ? 1 : 0) }
        let needed = Set(connections.map(\.socket) + kept + handles + [ends.first.raw]).sorted()
        let base = words.address(of: 0)
        // The copy has all of this memory at the same addresses, as it is now.
        let started = unsafe guarded.withUnsafeBufferPointer { guarded in
            unsafe needed.withUnsafeBufferPointer { needed in
                unsafe handles.withUnsafeBufferPointer { handles in
                    unsafe undecided.message.withUnsafeBufferPointer { first in
                        unsafe decided.message.withUnsafeBufferPointer { second in
                            var plan = unsafe apus_guard()
                            unsafe plan.sockets = guarded.baseAddress
                            unsafe plan.socket_count = guarded.count
                            unsafe plan.kept = needed.baseAddress
                            unsafe plan.kept_count = needed.count
                            unsafe plan.victims = handles.baseAddress
                            unsafe plan.victim_count = handles.count
                            unsafe plan.outcome = UnsafePointer(bitPattern: word ?? base)
                            unsafe plan.current = UnsafePointer(bitPattern: base + 4)
                            unsafe plan.actions = (undecided.actions.rawValue, decided.actions.rawValue)
                            unsafe plan.message = (first.baseAddress, second.baseAddress)
                            unsafe plan.length = (first.count, second.count)
                            unsafe plan.lifeline = ends.first.raw
                            return unsafe apus_start_guard(&plan)
                        }
                    }
                }
            }
        }
        guard started > 0 else { throw Errno(rawValue: -started) }
        pid = started
        lifeline = ends.second
    }

    /// Stores the word where it is the guard's own: from here on the second outcome counts.
    public func decide() {
        Steps.take()
        words.store(UInt32(1), at: 0)
    }

    /// Tells the guard which connection is about to enter repair mode: by its place among the connections, or none.
    public func isWorking(at index: Int?) { words.store(UInt32(index.map { $0 + 1 } ?? 0), at: 4) }

    /// Sends the guard away: what it was to see to has been done. Returns when it has gone.
    public func dismiss() {
        guard !isDismissed else { return }
        isDismissed = true
        try? Files.write(lifeline.raw, [1])
        _ = try? Processes.wait(for: pid)
    }

    deinit { dismiss() }
}

@available(*, unavailable)
extension ConnectionGuard: Sendable {}
