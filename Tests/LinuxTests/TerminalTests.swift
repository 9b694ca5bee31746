import Glibc
import Linux
import SystemPackage
import Testing

@Suite struct TerminalTests {
    @Test func settingsGoThereAndBack() throws {
        let master = try Terminal.openPair()
        #expect(Terminal.isTerminal(master.raw))
        var settings = try Terminal.settings(master.raw)
        #expect(settings.controlCharacters.count == 19 && settings.controlCharacters[0] == 3)
        #expect(settings.inputSpeed == 38400 && settings.outputSpeed == 38400)
        // ECHO and ICANON.
        #expect(settings.localFlags & 0o12 == 0o12)
        settings.localFlags &= ~0o12
        settings.controlCharacters[0] = 9
        try Terminal.setSettings(master.raw, settings)
        #expect(try Terminal.settings(master.raw) == settings)
        settings.outputSpeed = nil
        settings.localFlags |= 0o10
        try Terminal.setSettings(master.raw, settings)
        #expect(try Terminal.settings(master.raw).localFlags == settings.localFlags)
        settings.controlCharacters.removeLast()
        #expect(throws: Errno.invalidArgument) { try Terminal.setSettings(master.raw, settings) }
    }

    @Test func windowAndLocks() throws {
        let master = try Terminal.openPair()
        let size = Terminal.WindowSize(rows: 31, columns: 117, width: 5, height: 6)
        try Terminal.setWindowSize(master.raw, size)
        #expect(try Terminal.windowSize(master.raw) == size)
        var locks = try Terminal.locks(master.raw)
        #expect(locks.localFlags == 0)
        if Processes.effectiveUser == 0 {
            locks.localFlags = 0o10
            try Terminal.setLocks(master.raw, locks)
            #expect(try Terminal.locks(master.raw) == locks)
        }
    }

    @Test func pairs() throws {
        let master = try Terminal.openPair()
        let number = try Terminal.pairNumber(master.raw)
        #expect(try Terminal.isLocked(master.raw))
        try Terminal.setLocked(master.raw, false)
        #expect(try !Terminal.isLocked(master.raw))
        let slave = try Terminal.openPeer(master.raw, [.readWrite, .noControllingTerminal])
        let status = try Files.status(ofDescriptor: slave.raw)
        #expect(status.kind == .characterDevice)
        #expect(status.representedDevice == DeviceNumber(major: 136, minor: UInt32(number)))
        #expect(throws: Errno.inappropriateIOCTLForDevice) { try Terminal.pairNumber(slave.raw) }
        #expect(try !Terminal.isPacketMode(master.raw))
        try Terminal.setPacketMode(master.raw, true)
        #expect(try Terminal.isPacketMode(master.raw))
        #expect(try !Terminal.isExclusive(slave.raw))
        try Terminal.setExclusive(slave.raw, true)
        #expect(try Terminal.isExclusive(slave.raw))
        // It controls no session, and is not ours.
        #expect(throws: Errno.self) { try Terminal.session(slave.raw) }
        #expect(try Terminal.foregroundGroup(master.raw) == 0)
    }

    @Test func otherFilesAreNoTerminals() throws {
        let file = try Files.open("/dev/null", .readOnly)
        #expect(!Terminal.isTerminal(file.raw))
        #expect(throws: Errno.inappropriateIOCTLForDevice) { try Terminal.windowSize(file.raw) }
    }

    /// What is typed, half typed and written is still there, in its order, when it has been copied.
    @Test func queuesAreCopiedAndStay() throws {
        let master = try Terminal.openPair()
        try Terminal.setLocked(master.raw, false)
        let slave = try Terminal.openPeer(master.raw, [.readWrite, .noControllingTerminal, .nonBlocking])
        let before = try Terminal.settings(slave.raw)
        // Two lines, one of them ended by an end-of-file character (4), and a half one; echoed as they are typed.
        try Files.write(master.raw, Array("one\ntwo\u{4}half".utf8))
        // The kernel echoes a moment later.
        for _ in 1...5000 where try Files.readableBytes(master.raw) < "one\r\ntwohalf".utf8.count { usleep(1000) }
        try Files.write(slave.raw, Array("out\n".utf8))
        let queues = try Terminal.copyQueues(master.raw)
        #expect(queues.input == Array("one\ntwohalf".utf8) && queues.lineEnds == [4, 7] && !queues.isStopped)
        #expect(queues.output == Array("one\r\ntwohalfout\r\n".utf8))
        #expect(try Terminal.copyQueues(master.raw) == queues)
        #expect(try Terminal.settings(slave.raw) == before)
        #expect(try Files.readSome(slave.raw, atMost: 100) == Array("one\n".utf8))
        #expect(try Files.readSome(slave.raw, atMost: 100) == Array("two".utf8))
        #expect(throws: Errno.wouldBlock) { try Files.readSome(slave.raw, atMost: 100) }
        #expect(try Files.readSome(master.raw, atMost: 100) == queues.output)
    }

    /// More than the line discipline holds, in raw mode; and what was copied from one pair fills another.
    @Test func fullQueuesFillAnother() throws {
        let first = try Terminal.openPair()
        let second = try Terminal.openPair()
        for master in [first.raw, second.raw] {
            try Terminal.setLocked(master, false)
            var raw = try Terminal.settings(master)
            (raw.inputFlags, raw.outputFlags, raw.localFlags) = (0, 0, 0)
            try Terminal.setSettings(master, raw)
        }
        let slave = try Terminal.openPeer(first.raw, [.readWrite, .noControllingTerminal, .nonBlocking])
        try Files.write(slave.raw, (0..<9000).map { UInt8(truncatingIfNeeded: $0 / 3) })
        try Files.write(first.raw, (0..<2000).map { UInt8(truncatingIfNeeded: $0) })
        let queues = try Terminal.copyQueues(first.raw)
        #expect(queues.output == (0..<9000).map { UInt8(truncatingIfNeeded: $0 / 3) })
        #expect(queues.input == (0..<2000).map { UInt8(truncatingIfNeeded: $0) })
        let other = try Terminal.openPeer(second.raw, [.readWrite, .noControllingTerminal, .nonBlocking])
        try Terminal.fillQueues(second.raw, queues)
        #expect(try Terminal.copyQueues(second.raw) == queues)
        try other.close()
    }

    @Test func queuesThatNoTerminalCouldHold() {
        var queues = Terminal.Queues()
        queues.input = [1, 2]
        for ends in [[3], [-1], [2, 1]] {
            queues.lineEnds = ends
            #expect(!queues.isValid)
        }
        queues.lineEnds = [1, 1, 2]
        #expect(queues.isValid)
        queues.output = Array(repeating: 0, count: Terminal.Queues.mostOutput + 1)
        #expect(!queues.isValid)
    }
}
