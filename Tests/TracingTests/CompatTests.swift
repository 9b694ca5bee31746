import CLinux
import Testing

@testable import Tracing

/// 32-bit programs, as far as no process is needed.
@Suite struct CompatTests {
    @Test func aSignalFrameHasTheLayoutOf32Bits() {
        var registers = CompatSignalFrame.Registers()
        (registers.eip, registers.esp, registers.edi, registers.gs) = (0x0804_9000, 0xfff0_1000, 0x77, 0x63)
        var area = [UInt8](repeating: 0, count: 2688)
        (area[0], area[1]) = (0x7f, 0x0f)  // control word
        (area[2], area[3]) = (0x00, 0x38)  // status word
        area[4] = 0x81  // of eight registers the first and the last in use
        area[32] = 0xaa
        area[32 + 16 * 7 + 9] = 0xbb
        let frame = CompatSignalFrame(
            below: RemoteAddress(0xfff0_0f80), registers: registers, signalMask: 0x1_0000_0002, extendedState: area,
            features: 0xe7)
        let bytes = frame.bytes
        #expect(frame.address.raw + UInt64(bytes.count) <= 0xfff0_0f80)
        #expect(frame.stackPointer.raw == frame.address.raw + 4)
        // struct rt_sigframe_ia32: the context begins behind four arguments and siginfo.
        #expect(bytes.littleEndian(UInt32.self, at: 144) == 1)
        #expect(bytes.littleEndian(UInt32.self, at: 164) == 0x63)
        #expect(bytes.littleEndian(UInt32.self, at: 164 + 16) == 0x77)
        #expect(bytes.littleEndian(UInt32.self, at: 164 + 28) == 0xfff0_1000)
        #expect(bytes.littleEndian(UInt32.self, at: 164 + 56) == 0x0804_9000)
        #expect(bytes.littleEndian(UInt32.self, at: 164 + 60) == 0x23)
        #expect(bytes.littleEndian(UInt64.self, at: 252) == 0x1_0000_0002)
        let legacy = Int(UInt64(bytes.littleEndian(UInt32.self, at: 164 + 76)) - frame.address.raw)
        #expect((frame.address.raw + UInt64(legacy) + 112) % 64 == 0)
        #expect(bytes.littleEndian(UInt16.self, at: legacy) == 0x0f7f)
        #expect(bytes.littleEndian(UInt16.self, at: legacy + 4) == 0x3800)
        // Full tags: 3 for each of the six empty ones.
        #expect(bytes.littleEndian(UInt16.self, at: legacy + 8) == 0b00_11_11_11_11_11_11_00)
        #expect(bytes[legacy + 28] == 0xaa && bytes[legacy + 28 + 79] == 0xbb)
        #expect(bytes.littleEndian(UInt16.self, at: legacy + 110) == 0)
        #expect(bytes.littleEndian(UInt32.self, at: legacy + 112 + 464) == 0x4650_5853)
        #expect(bytes.littleEndian(UInt32.self, at: legacy + 112 + 468) == 112 + 2692)
        #expect(bytes.littleEndian(UInt32.self, at: legacy + 112 + 2688) == 0x4650_5845)
    }

    @Test func theLastJumpLeadsToItsCodeSegment() {
        var registers = user_regs_struct()
        (registers.rip, registers.cs) = (0xf7f1_2345, 0x23)
        #expect(RemoteControl.jumpTarget(registers) == 0x23_f7f1_2345)
        registers.cs = 0x33
        #expect(RemoteControl.jumpTarget(registers) == 0xf7f1_2345)
        let near = CaveLayout(base: RemoteAddress(0), form: .wide)
        let far = CaveLayout(base: RemoteAddress(0), form: .compat)
        func jump(_ cave: CaveLayout) -> [UInt8] {
            let start = Int(cave.resume(0).raw) + cave.wayOut.jumpKind - 1
            return Array(cave.code[start..<start + 2])
        }
        #expect(jump(near) == [0xff, 0x25])
        #expect(jump(far) == [0xff, 0x2d])
    }

    @Test func interruptedCallsHaveTheNumbersOf32Bits() {
        var registers = user_regs_struct()
        (registers.cs, registers.rip, registers.orig_rax) = (0x23, 0x1002, 162)
        registers.rax = UInt64(bitPattern: -516)
        #expect(InterruptedCall.resumable(registers).rax == 0)
        #expect(InterruptedCall.portable(registers).rax == 162)
        // Gone on with by restart_syscall(2), which is 0 there: which call it was is not known any more.
        registers.orig_rax = 0
        #expect(InterruptedCall.portable(registers).rax == UInt64(bitPattern: -4))
        (registers.orig_rax, registers.rax) = (177, UInt64(bitPattern: -4))
        #expect(InterruptedCall.excusingTheStop(registers) != nil)
        registers.orig_rax = 371
        #expect(InterruptedCall.excusingTheStop(registers) != nil)
        registers.cs = 0x33
        #expect(InterruptedCall.excusingTheStop(registers) == nil)
    }
}
