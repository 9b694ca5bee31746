/// What rt_sigreturn(2) reads: registers, signal mask and extended state of a thread that is to go on.
///
/// The layout is the kernel's `struct ucontext` (arch/x86/include/uapi/asm/ucontext.h) with the XSAVE area behind it
/// as the kernel writes it for signal handlers (asm/sigcontext.h).
public struct SignalFrame: Sendable {
    /// General registers in the order of `struct sigcontext_64`.
    public struct Registers: Sendable, Equatable {
        public var r8, r9, r10, r11, r12, r13, r14, r15: UInt64
        public var rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags: UInt64
        public var cs, gs, fs, ss: UInt16

        public init() {
            (r8, r9, r10, r11, r12, r13, r14, r15) = (0, 0, 0, 0, 0, 0, 0, 0)
            (rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            (cs, gs, fs, ss) = (0x33, 0, 0, 0x2b)
        }
    }

    private static let contextSize = 304
    /// Bytes below the stack pointer that belong to the running function (System V ABI, red zone).
    public static let redZone: UInt64 = 128

    private static let magic1: UInt32 = 0x4650_5853
    private static let magic2: UInt32 = 0x4650_5845
    /// UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
    private static let contextFlags: UInt64 = 7
    /// No mode of sigaltstack(2): the kernel refuses the change and leaves the alternate stack as it is.
    private static let invalidStackFlags: UInt32 = 0x7f7f
    private static let reservedOffset = 464

    /// Where the frame begins: what the stack pointer has to be at rt_sigreturn(2).
    public let address: RemoteAddress
    public let bytes: [UInt8]

    /// Lays a frame out so that it ends below `top`.
    ///
    /// - Parameters:
    ///   - extendedState: in the standard format of XSAVE, without the kernel's reserved bytes filled in.
    ///   - features: the XCR0 bits that it may hold.
    public init(
        below top: RemoteAddress, registers r: Registers, signalMask: UInt64, extendedState: [UInt8], features: UInt64
    ) {
        let size = extendedState.count
        let state = (top.raw - UInt64(size) - 4) & ~63
        let start = (state - UInt64(Self.contextSize)) & ~15
        address = RemoteAddress(start)

        var bytes: [UInt8] = []
        for value in [Self.contextFlags, 0, 0] { bytes.append(littleEndian: value) }
        bytes.append(littleEndian: Self.invalidStackFlags)
        bytes.append(littleEndian: UInt32(0))
        bytes.append(littleEndian: UInt64(0))
        for value in [
            r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx,
            r.rsp, r.rip, r.flags,
        ] { bytes.append(littleEndian: value) }
        for value in [r.cs, r.gs, r.fs, r.ss] { bytes.append(littleEndian: value) }
        for value in [0, 0, 0, 0, state] { bytes.append(littleEndian: value as UInt64) }
        bytes += Array(repeating: 0, count: 64)
        bytes.append(littleEndian: signalMask)
        bytes += Array(repeating: 0, count: Int(state - start) - bytes.count)

        var area = extendedState
        var reserved: [UInt8] = []
        reserved.append(littleEndian: Self.magic1)
        reserved.append(littleEndian: UInt32(size + 4))
        reserved.append(littleEndian: features)
        reserved.append(littleEndian: UInt32(size))
        area.replaceSubrange(Self.reservedOffset..<Self.reservedOffset + reserved.count, with: reserved)
        bytes += area
        bytes.append(littleEndian: Self.magic2)
        self.bytes = bytes
    }
}
