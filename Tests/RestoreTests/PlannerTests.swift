import Diagnostics
import Images
import Linux
import SystemPackage
import Testing
import Tracing

@testable import Restore

/// What is planned for images of CRIU, without any process.
@Suite struct PlannerTests {
    private func calls(_ placed: RestorePlan.PlacedBatch, _ name: String) -> [Batch.Call] {
        placed.batch.calls.filter { SystemCallName.of($0.number) == name }
    }

    @Test func planningIsPure() throws {
        let first = try FixturePlans.plan("count").description
        #expect(try FixturePlans.plan("count").description == first)
        #expect(first.contains("Process 31173 (sleep), made by 31000"))
    }

    @Test func aParentMakesItsChildrenWithTheirPids() throws {
        let plan = try FixturePlans.plan("tree")
        #expect(plan.tasks.map(\.pid).first == 31800)
        for (index, task) in plan.tasks.enumerated().dropFirst() {
            let parent = try #require(task.parent)
            #expect(parent < index)
            let clones = calls(plan.tasks[parent].family, "clone3")
            #expect(clones.contains { $0.expected == Int64(task.pid)...Int64(task.pid) })
        }
        let leader = try #require(plan.tasks.first { $0.pid == 31803 })
        #expect(calls(leader.family, "setsid").count == 1)
        let stopped = plan.tasks.filter(\.staysStopped)
        #expect(stopped.map(\.pid) == [31805])
        #expect(calls(stopped[0].cleanup, "kill").count == 1)
    }

    @Test func aZombieEndsAgainWithItsStatus() throws {
        let plan = try FixturePlans.plan("tree")
        let zombie = try #require(plan.tasks.first { $0.state == .dead })
        let exit = try #require(calls(zombie.rebuild, "exit_group").first)
        #expect(exit.arguments == [.value(7)])
    }

    @Test func everyMappingComesBackWhereItWas() throws {
        let directory = try FixturePlans.directory("count")
        let images = try CheckpointImages(reading: directory, architecture: .x8664)
        let plan = try FixturePlans.plan("count")
        for (task, planned) in zip(images.tasks, plan.tasks) {
            let wanted = try #require(task.memory).vmas
                .filter { $0.kind.isDisjoint(with: .kernels) }
                .map { Int64($0.start) }.sorted()
            #expect(calls(planned.rebuild, "mmap").map(\.expected.lowerBound).sorted() == wanted)
            let vdso = try #require(task.memory?.vmas.first { $0.kind.contains(.vdso) })
            #expect(calls(planned.rebuild, "mremap").contains { $0.expected.lowerBound == Int64(vdso.start) })
        }
    }

    @Test func allStoredPagesButTheVdsoAreRead() throws {
        let directory = try FixturePlans.directory("count")
        let images = try CheckpointImages(reading: directory, architecture: .x8664)
        let stored = images.tasks.reduce(0) { $0 + ($1.pagemap?.storedSize ?? 0) } / 4096
        let plan = try FixturePlans.plan("count")
        // Two pages of vdso in each of the two tasks.
        #expect(plan.storedPages == stored - 4)
    }

    @Test func apusStaysOutOfEveryLayout() throws {
        for name in ["count", "tree", "threads", "registers"] {
            let plan = try FixturePlans.plan(name)
            let images = try CheckpointImages(reading: FixturePlans.directory(name), architecture: .x8664)
            let area = plan.area.husk.raw..<(plan.area.mailbox + plan.mailboxSize).raw
            for vma in images.tasks.compactMap(\.memory).flatMap(\.vmas) {
                #expect(!area.overlaps(vma.start..<vma.end))
            }
            // What is open under one number everywhere may keep it; no two have the same.
            let own = plan.openings.map(\.descriptor)
            #expect(Set(own).count == own.count)
        }
    }

    @Test func batchesDoNotOverlapInTheMailbox() throws {
        let plan = try FixturePlans.plan("threads")
        var places: [Range<Int>] = []
        for task in plan.tasks {
            for placed in [task.family, task.rebuild, task.finish, task.cleanup] + task.threads.map(\.batch)
            where !placed.batch.isEmpty {
                places.append(placed.place..<placed.place + placed.batch.encodedSize)
            }
            for thread in task.threads { places.append(thread.controlPlace..<thread.controlPlace + ControlBlock.size) }
        }
        places.sort { $0.lowerBound < $1.lowerBound }
        for (one, next) in zip(places, places.dropFirst()) { #expect(one.upperBound <= next.lowerBound) }
        #expect(try #require(places.last).upperBound <= plan.mailboxSize)
    }

    @Test func threadsAreMadeBeforeCapabilitiesGo() throws {
        let plan = try FixturePlans.plan("threads")
        let finish = plan.tasks[0].finish.batch.calls.map { SystemCallName.of($0.number) }
        #expect(finish.filter { $0 == "clone3" }.count == 5)
        #expect(try #require(finish.lastIndex(of: "clone3")) < (try #require(finish.firstIndex(of: "capset"))))
    }

    @Test func aShellJobJoinsTheCallersSession() throws {
        let plan = try FixturePlans.plan("count-pty", shellJob: true)
        #expect(plan.foreground == 31055)
        #expect(calls(plan.tasks[0].family, "setsid").isEmpty)
        #expect(plan.terminals.count == 1)
        let problems = #expect(throws: Problems.self) { try FixturePlans.plan("count-pty") }
        #expect(problems?.all.allSatisfy { $0.remedy.contains("--shell-job") } == true)
    }

    @Test func everythingThatCannotBeRestoredIsNamedAtOnce() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("tcp") { images, _ in images.streams = [:] }
        }
        #expect(try #require(problems).all.count >= 4)
        #expect(try #require(problems).all.allSatisfy { !$0.remedy.isEmpty })
    }

    @Test func aProcessorWithoutTheRegistersIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("registers") { _, host in
                host.extendedState = ExtendedStateLayout(features: 7, size: 832, places: [.ymmUpper: 576..<832])
            }
        }
        #expect(problems?.all.map(\.code) == ["processor-differs"])
    }

    /// Some processors call registers in use that are as they were in the beginning.
    @Test func aProcessorWithoutRegistersThatHoldNothingWillDo() throws {
        _ = try FixturePlans.plan("registers") { images, host in
            host.extendedState = ExtendedStateLayout(features: 3, size: 576, places: [:])
            for index in images.tasks[0].threads.indices {
                func empty<T: FixedWidthInteger>(_ words: inout [T]) { words = words.map { _ in 0 } }
                empty(&images.tasks[0].threads[index].core.threadInfo.fpregs.xsave.ymmhSpace)
                empty(&images.tasks[0].threads[index].core.threadInfo.fpregs.xsave.opmaskReg)
                empty(&images.tasks[0].threads[index].core.threadInfo.fpregs.xsave.zmmUpper)
                empty(&images.tasks[0].threads[index].core.threadInfo.fpregs.xsave.hi16Zmm)
            }
        }
    }

    @Test func aForgedMappingIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("registers") { images, _ in images.tasks[0].memory?.vmas[0].end = 17 }
        }
        #expect(problems?.all.contains { $0.code == "image-unsuitable" } == true)
    }

    @Test(
        arguments: [
            { (task: inout TaskImages) in task.memory?.vmas[0].end = UInt64.max & ~4095 },
            { (task: inout TaskImages) in task.memory?.vmas[0].start = 1 << 63 },
            { (task: inout TaskImages) in task.memory?.vmas[0].pgoff = UInt64.max },
            { (task: inout TaskImages) in task.threads[0].core.threadInfo.gpregs.sp = 64 },
            { (task: inout TaskImages) in
                task.threads[0].core.threadCore.sas.ssFlags = 0
                task.threads[0].core.threadCore.sas.ssSp = UInt64.max - 10
                task.threads[0].core.threadCore.sas.ssSize = 4096
            },
            { (task: inout TaskImages) in task.descriptors[0].fd = UInt32(Int32.max) },
        ] as [@Sendable (inout TaskImages) -> Void])
    func numbersThatWouldOverflowAreRefused(_ forge: @Sendable (inout TaskImages) -> Void) throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("registers") { images, _ in forge(&images.tasks[0]) }
        }
        #expect(problems?.all.contains { $0.code == "image-unsuitable" } == true)
    }

    @Test func adviceThatActsAtOnceIsNotFollowed() throws {
        let plan = try FixturePlans.plan("registers") { images, _ in
            let index = images.tasks[0].memory?.vmas.firstIndex { $0.kind.contains(.privateAnonymous) } ?? 0
            images.tasks[0].memory?.vmas[index].madv = (1 << 9) | (1 << 4) | (1 << 10)
        }
        let advice = calls(plan.tasks[0].rebuild, "madvise").map { $0.arguments[2] }
        #expect(advice.contains(.value(10)))
        #expect(!advice.contains(.value(9)) && !advice.contains(.value(4)))
    }

    @Test func aChainOfFiltersThatTurnsInACircleIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("attributes") { images, _ in
                images.seccompFilters[0].prev = 0
            }
        }
        #expect(problems?.all.contains { $0.summary.contains("chain") } == true)
    }

    @Test func aSharedTableOfDescriptorsIsFilledOnce() throws {
        let plan = try FixturePlans.plan("count") { images, _ in
            let shared = images.tasks[0].ids?.filesID ?? 0
            images.tasks[1].ids?.filesID = shared
            images.tasks[1].descriptors = images.tasks[0].descriptors
        }
        #expect(plan.tables.map(\.owner) == [0])
        #expect(calls(plan.tasks[0].rebuild, "dup3").isEmpty && calls(plan.tasks[1].rebuild, "dup3").isEmpty)
        // The ends of both channels stay open.
        let closed = calls(try #require(plan.tables.first).filling, "close_range").map(\.arguments)
        for task in plan.tasks {
            let channel = UInt64(task.channel)
            #expect(
                !closed.contains { arguments in
                    guard case .value(let first) = arguments[0], case .value(let last) = arguments[1] else {
                        return true
                    }
                    return (first...last).contains(channel)
                })
        }
    }

    @Test func sistersThatShareATableAreMadeByOneAnother() throws {
        let plan = try FixturePlans.plan("tree") { images, _ in
            let shared = images.tasks[1].ids?.filesID ?? 0
            images.tasks[2].ids?.filesID = shared
        }
        #expect(plan.tasks[2].maker == 1 && plan.tasks[2].parent == plan.tasks[1].parent)
        #expect(plan.tasks[2].sharedWithMaker == ["descriptors"])
    }

    @Test func aGroupWithoutItsLeaderIsBegunByAHelper() throws {
        let plan = try FixturePlans.plan("count") { images, _ in images.tasks[1].processGroup = 999 }
        let helper = try #require(plan.tasks.last)
        #expect(plan.tasks.count == 3 && helper.isHelper && helper.pid == 999)
        #expect(calls(helper.family, "setpgid").count == 1 && calls(helper.rebuild, "exit_group").count == 1)
        #expect(calls(plan.tasks[1].rebuild, "setpgid").first?.arguments == [0, .value(999)])
        #expect(calls(plan.tasks[0].finish, "wait4").first?.expected == 999...999)
    }

    @Test func aSessionThatNobodyCanHaveGivenIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try FixturePlans.plan("count") { images, _ in images.tasks[0].session = images.tasks[1].pid }
        }
        #expect(problems?.all.contains { $0.code == "session-outside" } == true)
    }

    @Test func pidsOfCouriersAreFree() throws {
        let plan = try FixturePlans.plan("tree") { images, host in
            // An orphan in the session of a sister's child.
            let (root, other) = (images.tasks[0].pid, images.tasks[1].pid)
            images.tasks[2].parent = other
            (images.tasks[2].session, images.tasks[2].processGroup) = (images.tasks[2].pid, images.tasks[2].pid)
            (images.tasks[3].parent, images.tasks[3].session) = (root, images.tasks[2].pid)
            for index in images.tasks.indices where index > 3 { images.tasks[index].processGroup = root }
            images.tasks[3].processGroup = images.tasks[2].pid
            host.pidLimit = 40_000
            host.pidsInUse = [39_999]
        }
        let courier = try #require(plan.tasks.last)
        #expect(courier.isCourier && courier.pid == 39_998)
        #expect(plan.adoptions.map(\.adopter) == [0])
        #expect(plan.adoptions.first?.couriers == [plan.tasks.count - 1])
    }

    @Test func timersGetTheirNumbersOnEveryKernel() throws {
        func timers(_ chooses: Bool) throws -> [String] {
            let plan = try FixturePlans.plan("registers") { images, host in
                host.choosesTimerNumbers = chooses
                var timer = PosixTimerEntry()
                timer.itID = 2
                timer.vsec = 5
                images.tasks[0].core.tc.timers.posix = [timer]
            }
            return plan.tasks[0].finish.batch.calls.map { SystemCallName.of($0.number) }.filter {
                $0.hasPrefix("timer_")
            }
        }
        #expect(try timers(true) == ["timer_create", "timer_settime"])
        #expect(
            try timers(false) == [
                "timer_create", "timer_delete", "timer_create", "timer_delete", "timer_create", "timer_settime",
            ])
    }

    /// The kernel makes no timer for a thread that is not there; one that is there already stays, and signals nobody.
    @Test(arguments: [false, true])
    func aTimerOfAThreadThatHasEnded(_ hasEnded: Bool) throws {
        let plan = try FixturePlans.plan("registers") { images, _ in
            var timer = PosixTimerEntry()
            timer.vsec = 5
            timer.itSigevNotify = 4
            timer.notifyThreadID = images.tasks[0].pid + (hasEnded ? 1000 : 0)
            images.tasks[0].core.tc.timers.posix = [timer]
        }
        let batch = plan.tasks[0].finish.batch
        let making = try #require(batch.calls.first { SystemCallName.of($0.number) == "timer_create" })
        guard case .address(let event) = making.arguments[1] else { throw Unwrap.Missing() }
        // struct sigevent: value, signal, kind.
        #expect(batch.memory.littleEndian(UInt32.self, at: event.offset + 12) == (hasEnded ? 1 : 4))
    }
}
