internal import Images
internal import Objects

/// Threads that waited with a time limit.
extension Planner {
    /// Notes what is left of the waits of a task's threads. One that is led out for another reason begins anew: it is
    /// stopped, or a filter would judge the call by which it waits again.
    mutating func noteWaits(_ index: Int) {
        let task = images.tasks[index]
        guard !plan.tasks[index].staysStopped, !plan.tasks[index].isUnderSeccomp else { return }
        for (number, thread) in task.threads.enumerated() where plan.tasks[index].threads.indices.contains(number) {
            let registers = thread.core.threadInfo.gpregs
            // The call to be made again must be one that can go on with a rest.
            guard InterruptedWait.calls.contains(registers.ax) else { continue }
            plan.tasks[index].threads[number].wait = InterruptedWait(images.supplement[.sleep, thread.tid])
        }
    }
}
