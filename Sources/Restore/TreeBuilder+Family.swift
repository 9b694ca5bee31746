internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage
internal import Tracing

/// What ends while the tree is built: couriers, helpers, and processes that had ended at the dump.
extension TreeBuilder {
    /// Gives orphans to the processes that had adopted them.
    func adopt() throws(Problem) {
        for adoption in plan.adoptions {
            let adopter = plan.tasks[adoption.adopter]
            try run(adoption.begin, in: adopter)
            let couriers = adoption.couriers.map { plan.tasks[$0] }
            try barrier(\.rebuild, tasks: couriers)
            try awaitEnd(of: couriers)
            try run(adoption.end, in: adopter)
        }
    }

    func run(_ batch: RestorePlan.PlacedBatch, in task: RestorePlan.Task) throws(Problem) {
        mailbox.assign(batch, to: task.threads[0])
        try command(task)
        try collect([Expectation(of: task, [0: batch])])
    }

    func awaitEnd(of tasks: [RestorePlan.Task]) throws(Problem) {
        for task in tasks {
            let limit = Deadline(nanoseconds: 5_000_000_000)
            while let state = (try? ProcessDirectory(task.pid).stat())?.state, state != .zombie {
                if limit.isPast { throw died(task) }
                usleep(100)
            }
        }
        // A helper that is a child of Apus' own.
        for task in tasks where task.isHelper && task.parent == nil { _ = try? Processes.wait(for: task.pid) }
    }
}
