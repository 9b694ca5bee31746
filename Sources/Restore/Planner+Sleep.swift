internal import Images
internal import Objects

/// Threads that were asleep.
extension Planner {
    /// Notes what is left of the sleeps of a task's threads. One that is led out for another reason begins anew: it is
    /// stopped, or a filter would judge the call by which it falls asleep again.
    mutating func noteSleeps(_ index: Int) {
        let task = images.tasks[index]
        guard !plan.tasks[index].staysStopped, !plan.tasks[index].isUnderSeccomp else { return }
        for (number, thread) in task.threads.enumerated() where plan.tasks[index].threads.indices.contains(number) {
            let registers = thread.core.threadInfo.gpregs
            // The call to be made again must be one that sleeps.
            guard registers.ax == 35 || registers.ax == 230 else { continue }
            plan.tasks[index].threads[number].sleep = InterruptedSleep(images.supplement[.sleep, thread.tid])
        }
    }
}
