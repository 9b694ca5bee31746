import Linux
import Testing

@testable import Objects

/// How threads have their system calls dispatched to themselves, on its way through the supplement.
struct SystemCallDispatchTests {
    @Test(arguments: [
        SystemCallDispatch(mode: 1, offset: 0x40_0000, length: 0x1000, selector: 0x7fff_0000),
        SystemCallDispatch(mode: 1, offset: 0, length: 0, selector: 0),
        SystemCallDispatch(mode: 2, offset: 0x40_0000, length: .max >> 1, selector: 1),
    ])
    func isReadAsItWasWritten(_ dispatch: SystemCallDispatch) {
        var settings = ThreadSettings()
        settings.dispatch = dispatch
        #expect(!settings.isUsual)
        #expect(ThreadSettings(settings.json) == settings)
    }

    /// The kernel keeps a range whose own calls are dispatched as the rest of the address space.
    @Test func whatTheKernelKeepsIsSaidAsItIsToldTo() {
        #expect(SystemCallDispatch(kept: (0, 0, 0, 0)) == nil)
        #expect(
            SystemCallDispatch(kept: (1, 7, 0x1000, 0x2000))
                == .init(mode: 1, offset: 0x1000, length: 0x2000, selector: 7))
        #expect(SystemCallDispatch(kept: (1, 7, 0, 0)) == .init(mode: 1, offset: 0, length: 0, selector: 7))
        let (start, length): (UInt64, UInt64) = (0x1000, 0x2000)
        #expect(
            SystemCallDispatch(kept: (1, 7, start + length, 0 &- length))
                == .init(mode: 2, offset: start, length: length, selector: 7))
    }
}
