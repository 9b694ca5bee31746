import Linux
import Testing

@testable import Checkpoint

/// Mappings whose attributes are taken for what they were before the freeze.
struct KnownMappingsTests {
    private func areas(_ flags: [String]) throws -> [MappedArea] {
        var text = ""
        for (index, flags) in flags.enumerated() {
            let start = 0x10000 * (index + 1)
            text += "\(String(start, radix: 16))-\(String(start + 0x4000, radix: 16)) rw-p 00000000 00:00 0 \n"
            text += "Size: 16 kB\nRss: 16 kB\nAnonymous: 16 kB\nProtectionKey: 0\nVmFlags: \(flags) \n"
        }
        return try MappedArea.parse(smaps: Array(text.utf8))
    }

    private func bare(_ areas: [MappedArea]) -> [MappedArea] {
        areas.map { area in
            var area = area
            area.details = nil
            return area
        }
    }

    @Test func theSameMappingsKeepTheirAttributes() throws {
        let before = try areas(["rd wr mr mw me ac", "rd wr mr mw me dd"])
        #expect(KnownMappings.merged(bare(before), before) == before)
        var moved = bare(before)
        moved[1].range = 0x30000..<0x38000
        #expect(KnownMappings.merged(moved, before) == nil)
        var other = bare(before)
        other[0].protection = .read
        #expect(KnownMappings.merged(other, before) == nil)
        #expect(KnownMappings.merged(Array(bare(before).dropLast()), before) == nil)
    }

    @Test func aTwinConfirmsThem() throws {
        let assumed = try areas(["rd wr mr mw me ac", "rd wr mr mw me lo ac", "rd wr mr mw me dc ac"])
        var twin = try areas(["rd wr mr mw me ac", "rd wr mr mw me ac", "rd wr mr mw me ac"])
        // Memory that is not inherited at a fork is not there.
        #expect(KnownMappings.difference(assumed, twin, isTwin: true)?.range == assumed[2].range)
        twin.removeLast()
        #expect(KnownMappings.difference(assumed, twin, isTwin: true) == nil)
        #expect(KnownMappings.difference(assumed, twin, isTwin: false) != nil)
        #expect(KnownMappings.difference(assumed, assumed, isTwin: false) == nil)
    }

    @Test func adviceThatCameInBetweenIsFound() throws {
        let assumed = try areas(["rd wr mr mw me ac", "rd wr mr mw me ac"])
        for changed in ["rd wr mr mw me dd ac", "rd wr mr mw me wf ac", "rd wr mr mw me hg ac"] {
            let twin = try areas(["rd wr mr mw me ac", changed])
            #expect(KnownMappings.difference(assumed, twin, isTwin: true)?.range == assumed[1].range)
        }
        // It was given up to be inherited: the twin has it not.
        #expect(KnownMappings.difference(assumed, Array(assumed.dropLast()), isTwin: true)?.range == assumed[1].range)
    }
}
