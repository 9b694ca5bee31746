import Objects
import Testing

/// Trees made by random histories, arranged, and made again on a kernel of paper.
@Suite struct FamilyTests {
    @Test(arguments: 0..<400 as Range<UInt64>)
    func everyHistoryIsRepeated(_ seed: UInt64) throws {
        var chance = Chance(state: seed)
        let original = History.random(&chance)
        let members = original.members
        let family = try arranged(members)
        let kernel = try Rehearsal.run(family, members, &chance)
        #expect(kernel.members == members, "seed \(seed)")
    }

    /// What is expected to be impossible is, and nothing else: those seeds are left out above.
    private func arranged(_ members: [Family.Member]) throws -> Family {
        do {
            return try Family(arranging: members)
        } catch {
            throw Failure("\(error.all) in \(members)")
        }
    }

    @Test func aDaemonsSessionHasLostItsLeader() throws {
        // What daemon(3) after setsid(2) and another fork(2) leaves behind.
        let family = try Family(arranging: [
            .init(pid: 10, parent: 0, group: 10, session: 10), .init(pid: 12, parent: 10, group: 11, session: 11),
        ])
        #expect(family.processes.count == 3)
        let helper = try #require(family.processes.last)
        #expect(helper.pid == 11 && helper.role == .leader && helper.beginsSession && helper.parent == 0)
        #expect(family.processes[1].maker == 2 && family.processes[1].isSibling)
        #expect(family.first == 0)
    }

    @Test func theRootMayBeSuchADaemon() throws {
        let family = try Family(arranging: [.init(pid: 12, parent: 1, group: 11, session: 11)])
        #expect(family.first == 1)
        #expect(family.processes[1].pid == 11 && family.processes[1].maker == nil)
        #expect(family.processes[0].maker == 1 && family.processes[0].isSibling)
    }

    @Test func aChildThatStayedBehindIsMadeBeforeTheSessionBegins() throws {
        let family = try Family(arranging: [
            .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 6, parent: 5, group: 6, session: 6),
            .init(pid: 7, parent: 6, group: 5, session: 5),
        ])
        #expect(family.processes.count == 3)
        #expect(family.processes[1].early == [2])
    }

    @Test func anAdoptedOrphanOfALivingLeaderTakesACourier() throws {
        // 5 adopted 9, whom 7, the leader's child's child, had left.
        let family = try Family(arranging: [
            .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 6, parent: 5, group: 5, session: 5),
            .init(pid: 7, parent: 6, group: 7, session: 7), .init(pid: 9, parent: 5, group: 7, session: 7),
        ])
        #expect(family.adoptions.map(\.adopter) == [0] && family.adoptions.first?.couriers == [4])
        #expect(family.processes[4].role == .courier && family.processes[4].late == [3])
    }

    @Test func groupsLedByNobodyAreBegunByHelpers() throws {
        let family = try Family(arranging: [
            .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 8, parent: 5, group: 7, session: 5),
        ])
        let helper = try #require(family.processes.last)
        #expect(helper.pid == 7 && helper.beginsGroup && !helper.beginsSession && helper.parent == 0)
    }

    @Test func whatNoKernelAllowsIsNamed() {
        let members: [Family.Member] = [
            .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 6, parent: 5, group: 6, session: 6),
            // Its session is that of a sister's, whom it cannot descend from.
            .init(pid: 7, parent: 5, group: 5, session: 5), .init(pid: 8, parent: 7, group: 6, session: 6),
        ]
        let misfits = #expect(throws: Family.Misfits.self) { try Family(arranging: members) }
        #expect(misfits?.all.map(\.pid) == [8])
        let circle: [Family.Member] = [
            .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 6, parent: 7, group: 5, session: 5),
            .init(pid: 7, parent: 6, group: 5, session: 5),
        ]
        #expect(throws: Family.Misfits.self) { try Family(arranging: circle) }
        #expect(throws: Family.Misfits.self) {
            try Family(arranging: [
                .init(pid: 5, parent: 0, group: 5, session: 5), .init(pid: 6, parent: 5, group: 6, session: 6),
                .init(pid: 7, parent: 5, group: 6, session: 5),
            ])
        }
    }

    /// A thousand processes and a hundred generations take no time.
    @Test(.timeLimit(.minutes(1)))
    func largeTreesAreArranged() throws {
        var members: [Family.Member] = [.init(pid: 1000, parent: 0, group: 1000, session: 1000)]
        for index in 1..<10_000 {
            let pid = Int32(1000 + index)
            // Each in a session whose leader has gone, below parents a hundred generations deep.
            members.append(
                .init(
                    pid: pid, parent: index % 100 == 1 ? 1000 : pid - 1, group: pid + 20_000, session: pid + 20_000))
        }
        #expect(try Family(arranging: members).processes.count == 2 * members.count - 1)
    }
}

struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Random numbers that are the same each time (SplitMix64).
struct Chance: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
