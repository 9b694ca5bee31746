internal import CTrampoline

/// The pieces of machine code that a controlled thread runs (CTrampoline.h says what each does).
enum Trampoline {
    /// Interprets batches.
    static let core = bytes(of: APUS_PIECE_CORE)
    /// One system call driven by syscall stops.
    static let single = bytes(of: APUS_PIECE_SINGLE)
    /// The way out of a dump, with room for the registers behind it.
    static let resume = bytes(of: APUS_PIECE_RESUME)
    /// The way out of a restore.
    static let sigreturn = bytes(of: APUS_PIECE_SIGRETURN)
    /// The way out of a restore for a 32-bit program.
    static let compatSigreturn = bytes(of: APUS_PIECE_COMPAT_SIGRETURN)

    /// The husk's code.
    static let husk = bytes(of: APUS_PIECE_HUSK)
    /// The code of a bystander.
    static let bystander = bytes(of: APUS_PIECE_BYSTANDER)

    /// Where `resume` is entered by a thread that has nothing to unmap.
    static let resumeRegistersOffset = apus_resume_registers_offset()

    /// The second byte of its last jump, which tells whether it leads to another code segment.
    static let resumeJumpKind = apus_resume_jump_offset() + 1

    /// How far `piece` is from the start of code that is laid out on 16-byte boundaries.
    static func aligned(_ size: Int) -> Int { (size + 15) & ~15 }

    private static func bytes(of piece: apus_piece) -> [UInt8] {
        // The code lies in read-only data of this program, for as long as it runs.
        unsafe Array(UnsafeBufferPointer(start: apus_piece_bytes(piece), count: apus_piece_size(piece)))
    }
}
