import Linux
import Testing

@Suite struct FileLockTests {
    /// As Linux 6.1 and 6.18 show them.
    @Test func everyKind() throws {
        let text = """
            1: POSIX  ADVISORY  WRITE 139 00:1b:6 50 51
            1: -> POSIX  ADVISORY  READ 140 00:1b:6 0 EOF
            2: FLOCK  ADVISORY  READ 137 fe:00:12 0 EOF
            3: OFDLCK ADVISORY  WRITE -1 00:1b:8 3 6
            4: LEASE  ACTIVE    READ 137 00:1b:5 0 EOF
            5: LEASE  BREAKING  UNLCK 137 00:1b:8 0 EOF
            6: LEASE  BREAKING  READ 137 00:1b:10 0 EOF
            7: FLOCK  MSNFS     READ  1 00:1b:10 0 EOF
            8: DELEG  ACTIVE    READ 1 00:1b:10 0 EOF
            9: FLOCK  ADVISORY  WRITE 77 <none>:0 0 EOF

            """
        let locks = FileLock.list(parsing: Array(text.utf8))
        #expect(
            locks.map(\.kind) == [
                .posix, .posix, .flock, .description, .lease, .lease, .lease, .other("MSNFS"), .other("DELEG"),
            ])
        #expect(locks.map(\.isWaiting).enumerated().filter(\.element).map(\.offset) == [1])
        #expect(locks.map(\.isBreaking).enumerated().filter(\.element).map(\.offset) == [5, 6])
        #expect(locks[5].mode == .unlocked && locks[6].mode == .read && locks[3].pid == -1)
        #expect(locks[0].start == 50 && locks[0].last == 51 && locks[2].device == DeviceNumber(major: 0xfe, minor: 0))
    }

    @Test(arguments: [
        "", "\n\n", "1:", "1: ->", "x: POSIX ADVISORY READ 1 00:1b:6 0 EOF", "1: POSIX ADVISORY READ 1 00:1b:6 0",
        "1: POSIX ADVISORY READ 1 00 6 0 EOF", "1: POSIX ADVISORY READ one 00:1b:6 0 EOF",
        "1: POSIX ADVISORY READ 1 00:1b:99999999999999999999 0 EOF",
    ])
    func linesThatAreNone(_ text: String) {
        #expect(FileLock.list(parsing: Array(text.utf8)) == [])
    }
}
