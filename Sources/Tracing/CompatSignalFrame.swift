/// What the rt_sigreturn(2) of 32-bit programs reads.
///
/// The layout is the kernel's `struct rt_sigframe_ia32` (arch/x86/include/asm/sigframe.h): `struct ucontext_ia32` with
/// `struct sigcontext_32` (uapi/asm/sigcontext.h), and behind them the x87 state as FSAVE writes it with the XSAVE area
/// that follows it.
public struct CompatSignalFrame: Sendable {
    /// General registers in the order of `struct sigcontext_32`.
    public struct Registers: Sendable, Equatable {
        public var gs, fs, es, ds: UInt16
        public var edi, esi, ebp, esp, ebx, edx, ecx, eax, eip: UInt32
        public var cs: UInt16
        public var flags: UInt32
        public var ss: UInt16

        public init() {
            (gs, fs, es, ds) = (0, 0, 0x2b, 0x2b)
            (edi, esi, ebp, esp, ebx, edx, ecx, eax, eip, flags) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            (cs, ss) = (0x23, 0x2b)
        }
    }

    /// Up to the x87 state: 16 bytes of arguments, siginfo 128, ucontext 116, the code that kernels once put there 8.
    private static let contextSize = 268
    /// `struct fregs_state`.
    private static let legacySize = 112
    private static let magic1: UInt32 = 0x4650_5853
    private static let magic2: UInt32 = 0x4650_5845
    /// UC_FP_XSTATE
    private static let contextFlags: UInt32 = 1
    /// No mode of sigaltstack(2): the kernel refuses the change and leaves the alternate stack as it is.
    private static let invalidStackFlags: UInt32 = 0x7f7f
    private static let reservedOffset = 464

    /// Where the frame begins.
    public let address: RemoteAddress
    public let bytes: [UInt8]

    /// What the stack pointer has to be: a handler has taken its return address off.
    public var stackPointer: RemoteAddress { address + 4 }

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
        let legacy = state - UInt64(Self.legacySize)
        let start = (legacy - UInt64(Self.contextSize)) & ~15
        address = RemoteAddress(start)

        var bytes = [UInt8](repeating: 0, count: 144)
        for value in [Self.contextFlags, 0, 0, Self.invalidStackFlags, 0] { bytes.append(littleEndian: value) }
        for value in [r.gs, r.fs, r.es, r.ds] { bytes.append(littleEndian: UInt32(value)) }
        for value in [r.edi, r.esi, r.ebp, r.esp, r.ebx, r.edx, r.ecx, r.eax, 0, 0, r.eip] {
            bytes.append(littleEndian: value)
        }
        for value in [UInt32(r.cs), r.flags, r.esp, UInt32(r.ss), UInt32(truncatingIfNeeded: legacy), 0, 0] {
            bytes.append(littleEndian: value)
        }
        bytes.append(littleEndian: signalMask)
        bytes += Array(repeating: 0, count: Int(legacy - start) - bytes.count)
        bytes += Self.legacyState(extendedState)

        var area = extendedState
        var reserved: [UInt8] = []
        reserved.append(littleEndian: Self.magic1)
        reserved.append(littleEndian: UInt32(Self.legacySize + size + 4))
        reserved.append(littleEndian: features)
        reserved.append(littleEndian: UInt32(size))
        area.replaceSubrange(Self.reservedOffset..<Self.reservedOffset + reserved.count, with: reserved)
        bytes += area
        bytes.append(littleEndian: Self.magic2)
        self.bytes = bytes
    }

    /// The x87 state of an XSAVE area as FSAVE has it, of which the kernel takes it for 32-bit programs.
    private static func legacyState(_ area: [UInt8]) -> [UInt8] {
        let (control, status) = (area.littleEndian(UInt16.self, at: 0), area.littleEndian(UInt16.self, at: 2))
        // Two bits for each register, 3 for an empty one, where FXSAVE has one bit, 0 for an empty one.
        let tags = (0..<8).reduce(UInt32(0)) { $0 | (area[4] & 1 << UInt8($1) == 0 ? 3 << UInt32(2 * $1) : 0) }
        let operation = UInt32(area.littleEndian(UInt16.self, at: 6))
        var bytes: [UInt8] = []
        for value in [
            0xffff_0000 | UInt32(control), 0xffff_0000 | UInt32(status), 0xffff_0000 | tags,
            area.littleEndian(UInt32.self, at: 8), operation << 16 | 0x23, area.littleEndian(UInt32.self, at: 16),
            0xffff_002b,
        ] { bytes.append(littleEndian: value) }
        for register in 0..<8 { bytes += area[32 + 16 * register..<42 + 16 * register] }
        bytes.append(littleEndian: status)
        // X86_FXSR_MAGIC: the area of FXSAVE follows.
        bytes.append(littleEndian: UInt16(0))
        return bytes
    }
}
