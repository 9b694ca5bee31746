import Diagnostics
import Images
import Linux
import Objects
import Testing

@testable import Restore

/// What is planned for terminals: those of the fixture `count-pty`, as if the tree had had their master.
@Suite("Plans for terminals") struct TerminalPlanTests {
    private static let master: UInt32 = 4711

    private func plan(
        shellJob: Bool = true, change: (inout CheckpointImages) -> Void = { _ in }
    ) throws -> RestorePlan {
        try FixturePlans.plan("count-pty", shellJob: shellJob) { images, _ in
            guard var info = images.terminals.values.first else { return }
            info.id = Self.master
            info.rdev = 0x502
            images.terminals[info.id] = info
            change(&images)
        }
    }

    private func terminals(_ plan: RestorePlan) -> [String] {
        plan.openings.map(\.resource.description).filter { $0.hasPrefix("terminal /dev/pts/") }
    }

    @Test func aMasterInTheImagesMakesItInside() throws {
        #expect(try terminals(plan()).isEmpty == false)
        #expect(try plan().terminals.isEmpty)
        let outside = try FixturePlans.plan("count-pty", shellJob: true)
        #expect(terminals(outside).isEmpty && outside.terminals.count == 1)
    }

    /// Queues belong to pairs; of a terminal from outside they cannot be restored.
    @Test func queuesOfATerminalFromOutsideAreRefused() throws {
        let fill = { (images: inout CheckpointImages) in
            for id in images.terminals.keys where id != Self.master { images.terminalData[id] = [1, 2, 3] }
        }
        let queued = try terminals(plan(change: fill))
        #expect(queued.contains { $0.hasSuffix("with 3 bytes queued") }, "\(queued)")
        #expect(throws: Problems.self) {
            try FixturePlans.plan("count-pty", shellJob: true) { images, _ in fill(&images) }
        }
    }

    @Test func whatNoTerminalCouldHaveIsRefused() throws {
        let forged: [(inout CheckpointImages) -> Void] = [
            { $0.supplement[.terminal, Self.master] = ["lines": [5]] },
            { $0.supplement[.terminal, Self.master] = ["lines": [-1]] },
            { $0.terminalData[Self.master] = Array(repeating: 0, count: 1 << 20) },
            { images in for id in images.terminals.keys { images.terminals[id]?.pty.index = 1 << 20 } },
        ]
        for (number, change) in forged.enumerated() {
            let problems = #expect(throws: Problems.self) { try plan(change: change) }
            #expect(
                problems?.all.contains { $0.code == .objectUnsupported } == true, "\(number): \(problems?.all ?? [])")
        }
    }

    /// Without settings it was hung up: it needs no terminal of the caller's.
    @Test func aHungUpTerminal() throws {
        let plan = try FixturePlans.plan("count-pty", shellJob: true) { images, _ in
            for id in images.terminals.keys { images.terminals[id]?.clearTermios() }
        }
        #expect(terminals(plan).allSatisfy { $0.hasSuffix("hung up") } && !terminals(plan).isEmpty)
        #expect(plan.terminals.isEmpty)
    }
}
