internal import CLinux
internal import Glibc
public import SystemPackage

/// What is queued in a pseudo-terminal.
extension Terminal {
    /// The two queues of a pair.
    public struct Queues: Sendable, Hashable {
        /// What waits for the reader of the master.
        public var output: [UInt8] = []
        /// What waits for readers of the slave.
        public var input: [UInt8] = []
        /// Of a terminal in canonical mode, the ends in `input` of what one read(2) each gives; what is behind the last one
        /// is a line that is being typed.
        public var lineEnds: [Int] = []
        /// Output is held back (Ctrl-S).
        public var isStopped = false

        public init() {}

        public var isEmpty: Bool { output.isEmpty && input.isEmpty && lineEnds.isEmpty && !isStopped }

        /// The most that there can be.
        public static let (mostOutput, mostInput, mostLines) =
            (Int(APUS_TERMINAL_OUTPUT), Int(APUS_TERMINAL_INPUT), Int(APUS_TERMINAL_LINES))

        /// Whether the parts fit together, and into a terminal.
        public var isValid: Bool {
            output.count <= Self.mostOutput && input.count <= Self.mostInput && lineEnds.count <= Self.mostLines
                && lineEnds == lineEnds.sorted() && (lineEnds.first ?? 0) >= 0 && (lineEnds.last ?? 0) <= input.count
        }
    }

    /// Copies what is queued. It is read and written back, by a child that does so to the end even where the caller is
    /// killed meanwhile; whoever else has the pair open must stand still.
    ///
    /// - Parameter began: called when the child is at work.
    /// - Throws: EOVERFLOW where there is more than a terminal should hold; EIO where the slave was hung up; what keeps
    ///   a process from being started.
    public static func copyQueues(_ master: Int32, began: () -> Void = {}) throws(Errno) -> Queues {
        guard let raw = unsafe apus_terminal_queues_make() else { throw .noMemory }
        // SAFETY: made above, and used by this function alone once the child has ended.
        defer { unsafe apus_terminal_queues_free(raw) }
        let child = unsafe apus_terminal_copy(master, raw)
        guard child > 0 else { throw Errno(rawValue: -child) }
        began()
        let ended = try Processes.wait(for: child, .all)
        guard ended?.status == .exited(code: 0) else { throw .interrupted }
        let error = unsafe raw.pointee.error
        guard error == 0 else { throw Errno(rawValue: error) }
        var queues = Queues()
        // SAFETY: the child counts no more than there is room for, and the memory lives until the end of this function.
        queues.output = unsafe Array(
            UnsafeBufferPointer(start: apus_terminal_output(raw), count: Int(raw.pointee.output_size)))
        queues.input = unsafe Array(
            UnsafeBufferPointer(start: apus_terminal_input(raw), count: Int(raw.pointee.input_size)))
        queues.lineEnds = unsafe UnsafeBufferPointer(
            start: apus_terminal_line_ends(raw), count: Int(raw.pointee.line_count)
        ).map(Int.init)
        queues.isStopped = unsafe raw.pointee.is_stopped != 0
        return queues
    }

    /// Fills the queues of a pair, which are empty.
    ///
    /// - Throws: EINVAL for what is not valid; EAGAIN where it does not fit.
    public static func fillQueues(_ master: Int32, _ queues: Queues) throws(Errno) {
        guard queues.isValid else { throw .invalidArgument }
        guard let raw = unsafe apus_terminal_queues_make() else { throw .noMemory }
        defer { unsafe apus_terminal_queues_free(raw) }
        // SAFETY: `isValid` has held the counts against the room that there is.
        for (place, byte) in queues.output.enumerated() { unsafe apus_terminal_output(raw)[place] = byte }
        for (place, byte) in queues.input.enumerated() { unsafe apus_terminal_input(raw)[place] = byte }
        for (place, end) in queues.lineEnds.enumerated() {
            unsafe apus_terminal_line_ends(raw)[place] = UInt16(clamping: end)
        }
        unsafe raw.pointee.output_size = UInt32(queues.output.count)
        unsafe raw.pointee.input_size = UInt32(queues.input.count)
        unsafe raw.pointee.line_count = UInt32(queues.lineEnds.count)
        unsafe raw.pointee.is_stopped = queues.isStopped ? 1 : 0
        let error = unsafe apus_terminal_fill(master, raw)
        guard error == 0 else { throw Errno(rawValue: error) }
    }

    /// A slave as a handle (O_PATH), which opens nothing: its status says which it is.
    ///
    /// - Throws: ENOTTY for what is no master.
    public static func peerHandle(_ master: Int32) throws(Errno) -> OwnedDescriptor { try openPeer(master, .path) }

    /// The device of the terminal itself (TIOCGDEV): that behind `/dev/tty`.
    public static func device(_ descriptor: Int32) throws(Errno) -> DeviceNumber {
        DeviceNumber(encoded: UInt64(UInt32(bitPattern: try number(descriptor, APUS_TIOCGDEV))))
    }

    /// Opens `/dev/tty` for a terminal that controls no session yet, and controls none afterwards.
    ///
    /// - Throws: EPERM where it has a session.
    public static func openControlling(_ slave: Int32, _ flags: OpenFlags) throws(Errno) -> OwnedDescriptor {
        let descriptor = apus_terminal_open_controlling(slave, flags.rawValue)
        guard descriptor >= 0 else { throw Errno(rawValue: -descriptor) }
        return OwnedDescriptor(owning: descriptor)
    }
}
