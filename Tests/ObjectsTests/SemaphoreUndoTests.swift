import Diagnostics
import Images
import Testing
import Tracing

@testable import Objects

/// Semaphores as the kernel keeps them (`perform_atomic_semop` of ipc/sem.c), on paper.
private struct PaperSemaphore: Equatable {
    enum Outcome: Equatable { case done, outOfRange, mustWait }
    var value: Int
    var adjustment = 0

    /// All operations or none.
    mutating func operate(_ bytes: [UInt8]) -> Outcome {
        let before = self
        for start in stride(from: 0, to: bytes.count, by: 6) {
            let change = Int(bytes.littleEndian(Int16.self, at: start + 2))
            let isUndone = bytes.littleEndian(UInt16.self, at: start + 4) & 0x1000 != 0
            var outcome = Outcome.done
            if change == 0 ? value != 0 : value + change < 0 { outcome = .mustWait }
            if value + change > 32767 { outcome = .outOfRange }
            if isUndone && !(-32768...32767).contains(adjustment - change) { outcome = .outOfRange }
            if outcome != .done {
                self = before
                return outcome
            }
            value += change
            if isUndone { adjustment -= change }
        }
        return .done
    }
}

/// What a process adds to semaphores at its end is found out, and made again, by operations alone.
@Suite struct SemaphoreUndoTests {
    static let sizes = [-32768, -32767, -20000, -1025, -33, -2, -1, 0, 1, 2, 31, 32, 1024, 16384, 32766, 32767]

    @Test(arguments: sizes, [0, 1, 250, 20000, 32766, 32767])
    func aQuestionIsAnsweredAndChangesNothing(_ adjustment: Int, _ value: Int) {
        for size in Self.sizes where size != 0 {
            let before = PaperSemaphore(value: value, adjustment: adjustment)
            var semaphore = before
            let outcome = semaphore.operate(SemaphoreUndo.question(3, value: value, reaching: size))
            let isReached = size > 0 ? adjustment >= size : adjustment <= size
            #expect(outcome == (isReached ? .outOfRange : .mustWait), "\(adjustment) at \(value): \(size)")
            #expect(semaphore == before)
        }
    }

    /// About one at a time and about several, the answer is the same.
    @Test(arguments: [0, 1, 32767])
    func severalAreAskedAboutAtOnce(_ value: Int) {
        for size in [-1, 1] {
            for adjustment in Self.sizes {
                // The question is a sequence: on paper each semaphore answers its part.
                let bytes = SemaphoreUndo.question(about: [(0, value), (1, 5)], reaching: size)
                var (first, second) = (PaperSemaphore(value: value), PaperSemaphore(value: 5, adjustment: adjustment))
                func part(_ index: UInt16) -> [UInt8] {
                    stride(from: 0, to: bytes.count, by: 6).filter { bytes.littleEndian(UInt16.self, at: $0) == index }
                        .flatMap { bytes[$0..<$0 + 6] }
                }
                #expect(first.operate(part(0)) == .done)
                let isReached = size > 0 ? adjustment >= size : adjustment <= size
                #expect(second.operate(part(1)) == (isReached ? .outOfRange : .mustWait))
                #expect(second == PaperSemaphore(value: 5, adjustment: adjustment))
            }
        }
    }

    /// Somebody has changed the semaphore meanwhile: still nothing is done.
    @Test(arguments: [0, 1, 2, 32767])
    func aQuestionAboutAnotherValueChangesNothing(_ value: Int) {
        for size in [-2, -1, 1, 2] {
            for supposed in [0, 1, 5, 32767] {
                var semaphore = PaperSemaphore(value: value)
                #expect(semaphore.operate(SemaphoreUndo.question(0, value: supposed, reaching: size)) != .done)
                #expect(semaphore == PaperSemaphore(value: value))
            }
        }
    }

    @Test(arguments: sizes.filter { $0 != 0 }, [0, 1, 250, 16384, 32766, 32767])
    func itIsMadeAgain(_ adjustment: Int, _ value: Int) {
        var semaphore = PaperSemaphore(value: value)
        let undo = SemaphoreUndo(set: 1, index: 2, pid: 3, adjustment: adjustment)
        for operations in undo.calls(value: value) { #expect(semaphore.operate(operations) == .done) }
        #expect(semaphore == PaperSemaphore(value: value, adjustment: adjustment))
    }

    @Test(arguments: [0, 1, 32767])
    func aSignatureChangesNothing(_ value: Int) {
        var semaphore = PaperSemaphore(value: value)
        #expect(semaphore.operate(SemaphoreUndo.signature(9, value: value)) == .done)
        #expect(semaphore == PaperSemaphore(value: value))
    }

    @Test func whatNoKernelCouldHaveIsRefused() {
        var image = SemaphoreImage(namespace: 3, entry: .init(), values: [5, 6])
        image.entry.desc.id = 7
        func traits(_ told: JSON?) -> SemaphoreTraits? {
            var supplement = Supplement()
            supplement[.semaphores, 7] = told
            return SemaphoreTraits(of: image, supplement)
        }
        #expect(traits(nil) == SemaphoreTraits(of: image, Supplement()))
        func undo(_ semaphore: JSON, _ add: JSON) -> JSON {
            ["users": [1, 0], "undo": [["pid": 4, "semaphore": semaphore, "add": add]]]
        }
        #expect(traits(undo(1, -9))?.undo == [.init(set: 7, index: 1, pid: 4, adjustment: -9)])
        #expect(traits(undo(1, -9))?.users == [1, 0])
        for wrong in [
            undo(2, 1), undo(-1, 1), undo(0, 0), undo(0, 40000), undo(0, "x"), ["users": [1]], ["users": [1, "x"]],
        ] {
            #expect(traits(wrong) == nil)
        }
    }
}
