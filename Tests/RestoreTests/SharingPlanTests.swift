import Diagnostics
import Images
import Linux
import Testing
import Tracing

@testable import Restore

/// Plans for tasks that share what clone(2) lets processes share, made of the images of others.
@Suite struct SharingPlanTests {
    private func calls(_ placed: RestorePlan.PlacedBatch, _ name: String) -> [Batch.Call] {
        placed.batch.calls.filter { SystemCallName.of($0.number) == name }
    }

    /// Makes a task one that has the memory of another.
    private func share(_ task: Int, with owner: Int, handlers: Bool = false, in images: inout CheckpointImages) {
        let other = images.tasks[owner]
        images.tasks[task].memory = other.memory
        images.tasks[task].ids?.vmID = other.ids?.vmID ?? 0
        if handlers { images.tasks[task].ids?.sighandID = other.ids?.sighandID ?? 0 }
        for thread in images.tasks[task].threads.indices {
            images.tasks[task].threads[thread].core.threadInfo = other.core.threadInfo
            images.tasks[task].threads[thread].core.threadCore.sas = other.core.threadCore.sas
        }
    }

    /// The images of `count`, where the second task has all the memory of the first.
    private func plan(_ change: (inout CheckpointImages) -> Void) throws -> RestorePlan {
        try FixturePlans.plan("count", sameMemory: true) { images, _ in change(&images) }
    }

    private func flags(of child: RestorePlan.Task, in plan: RestorePlan) throws -> UInt64 {
        let maker = plan.tasks[try #require(child.maker)]
        let clone = try #require(calls(maker.family, "clone3").first { $0.expected.contains(Int64(child.pid)) })
        guard case .address(let place) = clone.arguments[0] else { throw Unwrap.Missing() }
        return maker.family.batch.memory.littleEndian(UInt64.self, at: place.offset)
    }

    @Test func memoryIsRebuiltByItsOwnerAlone() throws {
        let plan = try plan { share(1, with: 0, in: &$0) }
        #expect(try flags(of: plan.tasks[1], in: plan) == 0x100)
        #expect(!calls(plan.tasks[0].rebuild, "mmap").isEmpty)
        for name in ["mmap", "pread64", "mprotect", "mremap", "madvise"] {
            #expect(calls(plan.tasks[1].rebuild, name).isEmpty, "\(name)")
        }
        // Handlers are each one's own, and so are names.
        #expect(calls(plan.tasks[1].rebuild, "rt_sigaction").count > 60)
        #expect(plan.tasks[1].sharedWithMaker == ["memory"])
        #expect(plan.description.contains(", made by \(plan.tasks[0].pid), whose memory it shares"))
    }

    @Test func theLastOfAllLeavesNothingBehind() throws {
        let plan = try plan { share(1, with: 0, in: &$0) }
        #expect(plan.tasks[0].usersPlace == plan.tasks[1].usersPlace)
        let apart = try FixturePlans.plan("count")
        #expect(apart.tasks[0].usersPlace != apart.tasks[1].usersPlace)
        #expect(plan.tasks[0].threads[0].leave == plan.tasks[1].threads[0].leave)
        let mailbox = try Mailbox(plan)
        let users = mailbox.users(of: plan.tasks[1])
        #expect(users == Int32(plan.tasks.flatMap(\.threads).count))
    }

    @Test func handlersAreSetOnce() throws {
        let plan = try plan { share(1, with: 0, handlers: true, in: &$0) }
        #expect(try flags(of: plan.tasks[1], in: plan) == 0x900)
        #expect(calls(plan.tasks[1].rebuild, "rt_sigaction").isEmpty)
        #expect(calls(plan.tasks[1].finish, "rt_sigaction").isEmpty)
        #expect(calls(plan.tasks[0].rebuild, "rt_sigaction").count > 60)
        #expect(plan.tasks[1].sharedWithMaker == ["memory", "signal handlers"])
    }

    /// A helper in between has its part in the memory, but not in the count: it ends.
    @Test func helpersPassMemoryOn() throws {
        let plan = try plan { images in
            share(1, with: 0, in: &images)
            (images.tasks[1].session, images.tasks[1].processGroup) = (999, 999)
        }
        let helper = try #require(plan.tasks.last)
        #expect(helper.isHelper && helper.pid == 999)
        #expect(try flags(of: helper, in: plan) == 0x100)
        #expect(try flags(of: plan.tasks[1], in: plan) == 0x8100)
        #expect(helper.usersPlace != plan.tasks[0].usersPlace)
        #expect(plan.tasks[0].usersPlace == plan.tasks[1].usersPlace)
    }

    @Test func memoryThatIsTwoIsRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try plan { images in
                share(1, with: 0, in: &images)
                images.tasks[1].memory?.vmas.removeLast()
            }
        }
        #expect(problems?.all.contains { $0.code == "image-unsuitable" } == true)
        let pages = #expect(throws: Problems.self) {
            try FixturePlans.plan("count") { images, _ in share(1, with: 0, in: &images) }
        }
        #expect(pages?.all.contains { $0.code == "image-unsuitable" } == true)
    }

    @Test func handlersOfAnotherMemoryAreRefused() throws {
        let problems = #expect(throws: Problems.self) {
            try plan { images in
                let handlers = images.tasks[0].ids?.sighandID ?? 0
                images.tasks[1].ids?.sighandID = handlers
            }
        }
        #expect(problems?.all.contains { $0.summary.contains("signal handlers") } == true)
    }
}
