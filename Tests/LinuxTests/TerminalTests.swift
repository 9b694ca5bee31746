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
}
