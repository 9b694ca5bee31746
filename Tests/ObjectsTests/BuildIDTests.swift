import SystemPackage
import Testing

@testable import Objects

struct BuildIDTests {
    private func note(_ name: String, _ type: UInt32, _ content: [UInt8]) -> [UInt8] {
        let name = Array(name.utf8) + [0]
        var bytes: [UInt8] = []
        for word in [UInt32(name.count), UInt32(content.count), type] {
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift)))
            }
        }
        for part in [name, content] {
            bytes += part
            while bytes.count % 4 != 0 { bytes.append(0) }
        }
        return bytes
    }

    @Test func isFoundBehindOtherNotes() {
        let notes = note("GNU", 1, [1, 2, 3, 4, 5]) + note("Linux", 3, [9]) + note("GNU", 3, [0xaa, 0xbb, 0xcc])
        #expect(BuildID.find(in: notes).map(Array.init) == [0xaa, 0xbb, 0xcc])
    }

    @Test func sizesThatLieAreNoTrap() {
        var notes = note("GNU", 3, [1, 2, 3, 4])
        notes[4] = 200
        #expect(BuildID.find(in: notes) == nil)
        notes[0] = 255
        #expect(BuildID.find(in: notes) == nil)
        #expect(BuildID.find(in: [4, 0, 0, 0]) == nil)
    }

    @Test func ofThisProgramHasFiveWords() {
        // Every shared library of a distribution has one of 20 bytes (SHA-1).
        let words = BuildID.words(of: "/lib/x86_64-linux-gnu/libc.so.6")
        #expect(words.isEmpty || words.count == 5)
        #expect(BuildID.words(of: "/etc/passwd").isEmpty)
        #expect(BuildID.words(of: "/nonexistent").isEmpty)
    }
}
