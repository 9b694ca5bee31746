import Glibc
import Testing

@testable import Checkpoint

@Suite struct LoaderStateTests {
    /// This program has been loaded, with the libraries that it was linked to.
    @Test func ofOneThatRuns() { #expect(LoaderState.of(getpid()) == .consistent) }

    @Test func ofNone() { #expect(LoaderState.of(Int32.max) == nil) }
}
