import CLinux
import Testing

@testable import Tracing

/// The parts of the tracing core that need no process.
@Suite struct PureTests {
    @Test func aBatchIsEncodedForItsPlace() {
        var batch = Batch()
        let text = batch.string(Array("name".utf8))
        let first = batch.call(1, 7, .address(text), expecting: 3...5)
        batch.call(2, .result(first), .int32(text), .signed(-1))
        let base = RemoteAddress(0x10000)
        let bytes = batch.encoded(at: base)
        #expect(bytes.count == batch.encodedSize)
        #expect(bytes.littleEndian(UInt64.self, at: 0) == 1)
        #expect(bytes.littleEndian(UInt64.self, at: 8) == 7)
        #expect(bytes.littleEndian(UInt64.self, at: 16) == 0x10000 + 2 * 96)
        #expect(bytes.littleEndian(Int64.self, at: 56) == 3)
        #expect(bytes.littleEndian(Int64.self, at: 64) == 5)
        // The second call's first argument is where the first one's result will stand, marked as such.
        #expect(bytes.littleEndian(UInt64.self, at: 96 + 8) == 0x10000 + 72)
        #expect(bytes.littleEndian(UInt32.self, at: 96 + 80) == 1)
        #expect(bytes.littleEndian(UInt32.self, at: 96 + 84) == 2)
        #expect(bytes.littleEndian(UInt64.self, at: 96 + 24) == UInt64.max)
        #expect(Array(bytes.suffix(5)) == Array("name\0".utf8))
    }

    @Test func addressesWithinABatchFollowItsPlace() {
        var batch = Batch()
        let target = batch.space(16)
        let vector = batch.space(16)
        batch.store(addressOf: target, in: vector)
        batch.store(99, in: vector, at: 8)
        batch.call(20, .address(vector))
        let bytes = batch.encoded(at: RemoteAddress(0x4000))
        #expect(bytes.littleEndian(UInt64.self, at: 96 + 16) == 0x4000 + 96)
        #expect(bytes.littleEndian(UInt64.self, at: 96 + 24) == 99)
    }

    @Test func theTailOfAVdsoIsFoundBehindItsLastByte() {
        var image = [UInt8](repeating: 0, count: 8192)
        image.replaceSubrange(0..<4, with: [0x7f, 0x45, 0x4c, 0x46])
        image[5000] = 1
        let tail = VdsoTail(image: image, base: RemoteAddress(0x7000_0000))
        #expect(tail.start.raw == 0x7000_0000 + 5008)
        #expect(tail.count == 8192 - 5008)
        // What an earlier run left is free again; what the section headers claim is not.
        image.replaceSubrange(6000..<6016, with: VdsoTail.signature)
        image[6100] = 9
        #expect(VdsoTail(image: image, base: RemoteAddress(0)).start.raw == 5008)
        image.replaceSubrange(0x28..<0x30, with: [0x00, 0x1c, 0, 0, 0, 0, 0, 0])
        image[0x3a] = 64
        image[0x3c] = 4
        #expect(VdsoTail(image: image, base: RemoteAddress(0)).start.raw == 0x1c00 + 256)
    }

    @Test func whatIsNoElfHasNoTail() {
        #expect(VdsoTail(image: [UInt8](repeating: 0, count: 4096), base: RemoteAddress(0)).count == 0)
    }

    @Test func theCodeFitsWhereLinuxLeavesRoom() {
        // Linux 6.18 leaves 1,519 bytes behind its vdso, and 6.12 leaves 992; its 32-bit vdso 612.
        let room: [(form: CaveLayout.Form, usual: Int, withDispatch: Int)] = [
            (.wide, 1200, 1519), (.narrow, 900, 992), (.compat, 480, 612),
        ]
        for (form, usual, withDispatch) in room {
            for (wayOut, most) in [(Trampoline.resume, usual), (Trampoline.dispatching, withDispatch)] {
                let cave = CaveLayout(base: RemoteAddress(0), form: form, wayOut: wayOut)
                #expect(form.size(wayOut) == cave.code.count)
                #expect(cave.code.count <= most, "\(form)")
            }
        }
        #expect(Husk.compatExit.bytes.count <= 64)
        #expect(Husk.exit.bytes.count <= 64)
    }

    @Test func anInterruptedCallIsPutRight() {
        var registers = user_regs_struct()
        registers.rip = 0x1002
        registers.orig_rax = 0
        registers.rax = UInt64(bitPattern: -512)
        #expect(InterruptedCall.isPending(registers))
        let settled = InterruptedCall.resumable(registers)
        #expect(settled.rip == 0x1000)
        #expect(settled.rax == 0)
        // A sleep goes on by restart_syscall(2) where the kernel still knows of it.
        registers.orig_rax = 230
        registers.rax = UInt64(bitPattern: -516)
        #expect(InterruptedCall.resumable(registers).rax == 219)
        // Outside of a system call nothing is changed.
        registers.orig_rax = UInt64.max
        #expect(!InterruptedCall.isPending(registers))
        #expect(InterruptedCall.resumable(registers).rip == 0x1002)
    }

    @Test func aSignalFrameHasTheKernelsLayout() {
        var registers = SignalFrame.Registers()
        registers.r8 = 0x88
        registers.rip = 0x401000
        registers.rsp = 0x7fff_0000_1000
        let area = [UInt8](repeating: 0, count: 2688)
        let frame = SignalFrame(
            below: RemoteAddress(0x7fff_0000_0f80), registers: registers, signalMask: 0x1234, extendedState: area,
            features: 0xe7)
        let bytes = frame.bytes
        #expect(frame.address.raw + UInt64(bytes.count) <= 0x7fff_0000_0f80)
        #expect(bytes.littleEndian(UInt64.self, at: 0) == 7)
        #expect(bytes.littleEndian(UInt64.self, at: 40) == 0x88)
        #expect(bytes.littleEndian(UInt64.self, at: 40 + 128) == 0x401000)
        #expect(bytes.littleEndian(UInt64.self, at: 296) == 0x1234)
        let state = bytes.littleEndian(UInt64.self, at: 40 + 184)
        #expect(state % 64 == 0)
        let offset = Int(state - frame.address.raw)
        #expect(bytes.littleEndian(UInt32.self, at: offset + 464) == 0x4650_5853)
        #expect(bytes.littleEndian(UInt32.self, at: offset + 468) == 2692)
        #expect(bytes.littleEndian(UInt32.self, at: offset + 2688) == 0x4650_5845)
    }

    @Test func aHuskIsAnExecutable() {
        let program = Husk.executable(
            at: RemoteAddress(0x1000_0000), code: RemoteAddress(0x1002_0000), codeLength: 4096, dataLength: 8192,
            file: 64, control: RemoteAddress(0x1002_1040))
        #expect(Array(program.prefix(4)) == [0x7f, 0x45, 0x4c, 0x46])
        #expect(program.littleEndian(UInt64.self, at: 24) == 0x1000_0000 + 176)
        #expect(program.littleEndian(UInt64.self, at: program.count - 8) == 0x1002_1040)
        #expect(program.count < 512)
    }
}
