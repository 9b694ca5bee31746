internal import CLinux
public import SystemPackage

/// Waiting for descriptors.
extension Files {
    /// What can be waited for, and what has happened (poll(2)).
    public struct PollEvents: OptionSet, Sendable, Hashable {
        public let rawValue: Int16
        public init(rawValue: Int16) { self.rawValue = rawValue }

        public static let readable = PollEvents(rawValue: 0x1)
        public static let priority = PollEvents(rawValue: 0x2)
        public static let writable = PollEvents(rawValue: 0x4)
        /// Reported without being asked for.
        public static let error = PollEvents(rawValue: 0x8)
        /// Reported without being asked for: the other end is closed.
        public static let hangUp = PollEvents(rawValue: 0x10)
        /// Reported without being asked for: not an open descriptor.
        public static let invalid = PollEvents(rawValue: 0x20)
        /// Nothing more is to be read behind what has come (POLLRDHUP).
        public static let peerClosed = PollEvents(rawValue: 0x2000)
    }

    /// One descriptor to wait for.
    public struct PollEntry: Sendable, Equatable {
        public var descriptor: Int32
        public var events: PollEvents
        /// What has happened; filled in by `poll`.
        public var returned: PollEvents = []

        public init(_ descriptor: Int32, _ events: PollEvents) {
            self.descriptor = descriptor
            self.events = events
        }
    }

    /// ppoll(2): waits until something of what is asked for happens to one of the descriptors.
    ///
    /// - Parameters:
    ///   - timeout: nanoseconds to wait; nil waits for ever.
    ///   - retrying: start again, with the whole timeout, when a signal interrupts the wait.
    /// - Returns: how many entries have something in `returned`; 0 when the time is over.
    public static func poll(
        _ entries: inout [PollEntry], timeout: UInt64?, retrying: Bool = false
    ) throws(Errno) -> Int {
        var raw = entries.map {
            apus_poll(descriptor: $0.descriptor, events: $0.events.rawValue, returned: 0)
        }
        let count = UInt(raw.count)
        var time =
            timeout.map {
                apus_timespec(seconds: Int64($0 / 1_000_000_000), nanoseconds: Int64($0 % 1_000_000_000))
            } ?? apus_timespec()
        let ready = try withAddress(of: &time) { time in
            unsafe raw.withUnsafeMutableBytes { buffer in
                // The addresses are used by one call, within the closures that lend the memory.
                let address = UInt(bitPattern: buffer.baseAddress)
                return outcome(
                    of: Int(SYS_ppoll), address, count, timeout == nil ? 0 : time, 0, 0, retrying: retrying)
            }
        }
        for index in entries.indices { entries[index].returned = PollEvents(rawValue: raw[index].returned) }
        return ready
    }
}
