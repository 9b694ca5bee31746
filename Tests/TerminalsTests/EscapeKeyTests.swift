import Testing

@testable import Terminals

@Suite("The keys that leave a terminal")
struct EscapeKeyTests {
    private let escape: UInt8 = 0x1d

    @Test func passesOnWhatIsTyped() {
        var key = EscapeKey()
        let typed: [UInt8] = Array(0...255).filter { $0 != escape }
        #expect(key.take(typed) == (typed, false))
        #expect(!key.isPending)
    }

    @Test func leaves() {
        var key = EscapeKey()
        #expect(key.take([97, escape]) == ([97], false))
        #expect(key.isPending)
        // What stands behind it is for nobody.
        #expect(key.take(Array("dxyz".utf8)) == ([], true))
    }

    @Test func twiceIsOneForTheProgram() {
        var key = EscapeKey()
        #expect(key.take([escape, escape]) == ([escape], false))
        #expect(key.take(Array("d".utf8)) == (Array("d".utf8), false))
    }

    @Test func beforeAnotherKeyBothAreForTheProgram() {
        var key = EscapeKey()
        #expect(key.take([escape, 98]) == ([escape, 98], false))
        #expect(key.take([escape]) == ([], false))
        #expect(key.giveUp() == [escape])
        #expect(key.giveUp() == [])
        #expect(key.take(Array("d".utf8)) == (Array("d".utf8), false))
    }
}
