import Images
import Testing

@testable import Objects

struct SeccompFiltersTests {
    private func filter(_ byte: UInt8, flags: UInt32 = 0) -> (program: [UInt8], flags: UInt32) {
        ([byte, 0, 0, 0, 0, 0, 0, 0], flags)
    }

    @Test func whatIsCommonIsRecordedOnce() {
        var filters = SeccompFilters()
        #expect(filters.record([filter(1), filter(2)]) == 1)
        #expect(filters.record([filter(1), filter(2), filter(3)]) == 2)
        #expect(filters.record([filter(1), filter(2)]) == 1)
        #expect(filters.entries.count == 3)
        #expect(!filters.entries[0].hasPrev)
        #expect(filters.entries[1].prev == 0 && filters.entries[2].prev == 1)
    }

    @Test func equalProgramsInAnotherPlaceAreOthers() {
        var filters = SeccompFilters()
        #expect(filters.record([filter(1)]) == 0)
        #expect(filters.record([filter(2), filter(1)]) == 2)
        #expect(filters.record([filter(1, flags: 2)]) == 3)
        #expect(filters.entries[2].prev == 1)
        #expect(filters.entries[3].flags == 2)
    }

    /// BPF_RET with the constant SECCOMP_RET_USER_NOTIF, and two instructions that only look like it.
    @Test func aFilterThatAsksASupervisor() {
        #expect(SeccompFilters.asksSupervisor([0x06, 0, 0, 0, 0, 0, 0xc0, 0x7f]))
        #expect(!SeccompFilters.asksSupervisor([0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]))
        #expect(!SeccompFilters.asksSupervisor([0x15, 0, 0, 0, 0, 0, 0xc0, 0x7f]))
    }
}
