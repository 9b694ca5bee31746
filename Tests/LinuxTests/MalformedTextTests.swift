import Linux
import SystemPackage
import Testing

/// Whatever a file says, the answer is a value or an error with the file's name, never a crash.
@Suite struct MalformedTextTests {
    private static let parsers: [(name: FilePath.Component, parse: @Sendable ([UInt8]) throws -> Void)] = [
        ("stat", { _ = try TaskStat(parsing: $0) }),
        ("status", { _ = try TaskStatus(parsing: $0) }),
        ("maps", { _ = try MappedArea.parse(maps: $0) }),
        ("smaps", { _ = try MappedArea.parse(smaps: $0) }),
        ("limits", { _ = try Processes.Limit.parse($0) }),
        ("mountinfo", { _ = try MountInfo.parse($0) }),
        ("timers", { _ = try PosixTimer.parse($0) }),
        ("syscall", { _ = try BlockedCall(parsing: $0) }),
        ("cgroup", { _ = try ControlGroup.parse($0) }),
        ("fdinfo", { _ = try DescriptorInfo(parsing: $0) }),
    ]

    private static let locked = "pos:\t0\nflags:\t02\nlock:\t1: POSIX  ADVISORY  WRITE 1 fe:00:1 10 109\n"

    private func text(of name: FilePath.Component) throws -> [UInt8] {
        try name == "fdinfo" ? Array(Self.locked.utf8) : Recorded.subject.contents(of: name)
    }

    @Test(arguments: parsers.indices)
    func truncatedAnywhere(_ index: Int) throws {
        let (name, parse) = Self.parsers[index]
        let text = try text(of: name)
        var failures = 0
        for end in 0..<min(text.count, 1500) {
            do { try parse(Array(text[..<end])) } catch let error as ProcfsError {
                failures += 1
                #expect(error.file.string == name.string)
            }
        }
        #expect(failures > 0)
    }

    @Test(arguments: parsers.indices)
    func damagedAnywhere(_ index: Int) throws {
        let (name, parse) = Self.parsers[index]
        let text = try text(of: name)
        var failures = 0
        for place in stride(from: 0, to: min(text.count, 600), by: 5) {
            for byte in [0, 0x0a, 0x20, 0x2d, 0x39, 0x5c, 0xff] as [UInt8] {
                var damaged = text
                damaged[place] = byte
                do { try parse(damaged) } catch is ProcfsError { failures += 1 }
            }
        }
        #expect(failures > 0)
    }

    @Test func namesTheLine() {
        let text = "1000-2000 r--p 0 00:00 0 \n2000-1000 r--p 0 00:00 0 \n"
        let error = #expect(throws: ProcfsError.self) {
            try MappedArea.parse(maps: Array(text.utf8), file: "/proc/7/maps")
        }
        #expect(error?.line == 2 && error?.description == "/proc/7/maps line 2: expected an end above the start")
    }

    @Test func numbersThatDoNotFit() {
        for text in ["99999999999 (a) S", "18446744073709551616 (a) S", "4294967296 (a) S"] {
            #expect(throws: ProcfsError.self) { try TaskStat(parsing: Array(text.utf8)) }
        }
    }
}
