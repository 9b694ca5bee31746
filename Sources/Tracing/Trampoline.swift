internal import CTrampoline

/// The pieces of machine code that a controlled thread runs (CTrampoline.h says what each does).
enum Trampoline {
    /// Interprets batches.
    static let core = bytes(of: APUS_PIECE_CORE)
    /// The same for a restore.
    static let maker = bytes(of: APUS_PIECE_MAKER)
    /// One system call driven by syscall stops.
    static let single = bytes(of: APUS_PIECE_SINGLE)
    /// The way out of a dump, and that of a process with threads whose system calls are dispatched to themselves.
    static let (resume, dispatching) = (WayOut(dispatches: false), WayOut(dispatches: true))
    /// The way out of a restore.
    static let sigreturn = bytes(of: APUS_PIECE_SIGRETURN)
    /// The way out of a restore for a 32-bit program.
    static let compatSigreturn = bytes(of: APUS_PIECE_COMPAT_SIGRETURN)

    /// The husk's code.
    static let husk = bytes(of: APUS_PIECE_HUSK)
    /// The code of a bystander.
    static let bystander = bytes(of: APUS_PIECE_BYSTANDER)

    /// Code with room behind it for the registers with which it ends.
    struct WayOut {
        let bytes: [UInt8]
        /// It gives a thread back that its system calls are dispatched to itself.
        let dispatches: Bool
        /// Where it is entered by a thread that has nothing to unmap.
        let registersOffset: Int
        /// The second byte of its last jump, which tells whether it leads to another code segment.
        let jumpKind: Int

        fileprivate init(dispatches: Bool) {
            self.dispatches = dispatches
            bytes = Trampoline.bytes(of: dispatches ? APUS_PIECE_DISPATCHING : APUS_PIECE_RESUME)
            registersOffset = apus_resume_registers_offset(dispatches ? 1 : 0)
            jumpKind = apus_resume_jump_offset(dispatches ? 1 : 0) + 1
        }

        /// Where the registers stand.
        var savedOffset: Int {
            let dispatch = MemoryLayout<apus_saved>.offset(of: \.dispatch) ?? 0
            return bytes.count - (dispatches ? MemoryLayout<apus_saved>.size : dispatch)
        }
    }

    /// How far `piece` is from the start of code that is laid out on 16-byte boundaries.
    static func aligned(_ size: Int) -> Int { (size + 15) & ~15 }

    private static func bytes(of piece: apus_piece) -> [UInt8] {
        // The code lies in read-only data of this program, for as long as it runs.
        unsafe Array(UnsafeBufferPointer(start: apus_piece_bytes(piece), count: apus_piece_size(piece)))
    }
}
