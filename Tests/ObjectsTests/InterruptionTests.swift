import CLinux
import Images
import Testing

@testable import Objects
@testable import Tracing

/// What becomes of a system call that the freeze has interrupted.
struct InterruptionTests {
    private func registers(_ number: UInt64, _ result: Int64) -> user_regs_struct {
        var registers = user_regs_struct()
        registers.orig_rax = number
        registers.rax = UInt64(bitPattern: result)
        registers.rip = 0x1002
        return registers
    }

    private func isMadeAgain(_ r: user_regs_struct, _ number: UInt64) -> Bool { r.rax == number && r.rip == 0x1000 }
    private func endsWithEINTR(_ r: user_regs_struct) -> Bool { Int64(bitPattern: r.rax) == -4 && r.rip == 0x1002 }

    /// -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK.
    @Test(arguments: [-512, -513, -514, -516] as [Int64])
    func callsAreMadeAgainWhereNoHandlerRuns(result: Int64) {
        #expect(isMadeAgain(Registers.portable(registers(7, result), ending: nil), 7))
    }

    @Test func aHandlerEndsWhatItWouldHaveEnded() {
        #expect(endsWithEINTR(Registers.portable(registers(34, -514), ending: false)), "pause, even with SA_RESTART")
        #expect(endsWithEINTR(Registers.portable(registers(0, -512), ending: true)), "read, handler without SA_RESTART")
        #expect(isMadeAgain(Registers.portable(registers(0, -512), ending: false), 0), "read, handler with SA_RESTART")
        #expect(isMadeAgain(Registers.portable(registers(0, -513), ending: true), 0))
        #expect(
            endsWithEINTR(Registers.portable(registers(35, -516), ending: false)), "nanosleep, even with SA_RESTART")
    }

    @Test func anAlreadyContinuedSleepEnds() {
        #expect(endsWithEINTR(Registers.portable(registers(219, -516), ending: nil)))
    }

    /// `mov $0xe6, %eax; syscall`, as the C library writes clock_nanosleep(2).
    @Test func theCodeTellsWhatIsGoneOnWith() {
        let again = registers(219, -516)
        let code: [UInt8] = [0xb8, 0xe6, 0, 0, 0, 0x0f, 0x05]
        #expect(InterruptedCall.call(again, code: code) == 230)
        #expect(isMadeAgain(Registers.portable(again, ending: nil, continued: 230), 230))
        #expect(endsWithEINTR(Registers.portable(again, ending: true, continued: 230)))
        #expect(InterruptedCall.call(again, code: [0xb8, 0, 0, 0, 0, 0x0f, 0x05]) == nil, "read has no such record")
        #expect(InterruptedCall.call(again, code: [0x90, 0xe6, 0, 0, 0, 0x0f, 0x05]) == nil)
        #expect(InterruptedCall.call(again, code: []) == nil)
        #expect(InterruptedCall.call(registers(7, -516), code: []) == 7)
    }

    @Test func whatWasNotInterruptedIsLeftAlone() {
        let running = registers(UInt64.max, -512)
        #expect(Registers.portable(running, ending: true).rip == 0x1002)
        #expect(Registers.portable(registers(0, 5), ending: nil).rax == 5)
    }

    @Test func aMereStopIsExcused() throws {
        let excused = try #require(InterruptedCall.excusingTheStop(registers(232, -4)), "epoll_wait")
        #expect(isMadeAgain(InterruptedCall.portable(excused), 232))
        #expect(InterruptedCall.excusingTheStop(registers(45, -4)) != nil, "recvfrom with a time limit")
        #expect(InterruptedCall.excusingTheStop(registers(232, 3)) == nil, "it has events")
        #expect(InterruptedCall.excusingTheStop(registers(0, -4)) == nil, "read says EINTR for a reason")
    }
}

struct SignalActionsTests {
    private func actions(_ changed: [Int: SignalActions.Action]) -> SignalActions {
        let usual = SignalActions.Action(handler: 0, flags: 0, restorer: 0, mask: 0)
        return SignalActions(actions: (1...64).map { changed[$0] ?? usual })
    }
    private let handler = SignalActions.Action(handler: 0x4000, flags: 0, restorer: 0, mask: 0)
    private let restarting = SignalActions.Action(handler: 0x4000, flags: 0x1000_0000, restorer: 0, mask: 0)
    private let ignored = SignalActions.Action(handler: 1, flags: 0, restorer: 0, mask: 0)

    private func bit(_ signal: Int) -> UInt64 { 1 << UInt64(signal - 1) }

    @Test func theFirstHandlerThatWouldRunDecides() {
        let actions = actions([10: restarting, 12: handler, 17: ignored])
        #expect(actions.interrupts(pending: 0, blocked: 0) == nil)
        #expect(actions.interrupts(pending: bit(17), blocked: 0) == nil, "ignored")
        #expect(actions.interrupts(pending: bit(15), blocked: 0) == nil, "default")
        #expect(actions.interrupts(pending: bit(12), blocked: 0) == true)
        #expect(actions.interrupts(pending: bit(12), blocked: bit(12)) == nil)
        #expect(actions.interrupts(pending: bit(10) | bit(12), blocked: 0) == false)
        #expect(actions.interrupts(pending: bit(10) | bit(12), blocked: bit(10)) == true)
    }

    @Test func theImageLeavesOutWhatCannotBeChanged() {
        var changed: [Int: SignalActions.Action] = [:]
        for signal in 1...64 {
            changed[signal] = SignalActions.Action(handler: UInt64(signal), flags: 0, restorer: 0, mask: 0)
        }
        let entries = actions(changed).entries(compat: false)
        #expect(entries.count == 62)
        let expected: [UInt64] = Array(1...8) + Array(10...18) + Array(20...64)
        #expect(entries.map(\.sigaction) == expected)
    }

    @Test func theSetOfAQueueIsReadFromItsSignals() {
        var first = [UInt8](repeating: 0, count: 128)
        first[0] = 34
        var second = first
        second[0] = 10
        #expect(PendingSignals.set([first, second, first]) == bit(34) | bit(10))
        #expect(PendingSignals.set([]) == 0)
    }
}
