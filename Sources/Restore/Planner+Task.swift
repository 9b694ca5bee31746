internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What a process is beside its memory, in the order in which it is made.
extension Planner {
    mutating func composeTask(_ index: Int) {
        let task = images.tasks[index]
        if task.state == .dead { return composeZombie(index) }
        var rebuild = Batch()
        composeArrival(index, in: &rebuild)
        composeForeground(index, in: &rebuild)
        if !sharing.memory.contains(index) { composeMemory(of: task, in: &rebuild) }
        composeLogin(task, in: &rebuild)
        composeEarlyLabel(task, in: &rebuild)
        if !sharing.directories.contains(index) { composeDirectories(task, in: &rebuild) }
        composeTable(index, in: &rebuild)
        let hasOwnHandlers = !sharing.handlers.contains(index)
        if hasOwnHandlers { composeActions(task, in: &rebuild) }
        composeAttributes(task, ofMemory: !sharing.memory.contains(index), in: &rebuild)
        composeSemaphoreUndo(of: task.pid, in: &rebuild)
        composeSending(of: task.pid, in: &rebuild)
        plan.tasks[index].rebuild = placed(rebuild)

        // Threads come with the last batch: they wait on the channel that they share with the leader, and a command
        // for it would reach any of them. They come before the leader gives its capabilities up.
        noteSeccomp(index)
        var finish = Batch()
        composeSettling(index, in: &finish)
        // A table that others fill is filled by now. Who of those that share it takes a lock, fcntl(F_GETLK) tells.
        if sharing.descriptors.contains(index) { composeLocks(index, in: &finish) }
        composeLeases(index, in: &finish)
        composeThreads(index, in: &finish)
        composeTimers(task, in: &finish)
        composeSignatures(of: task.pid, in: &finish)
        let speaker = plan.tasks[index].firstLasting
        composeThread(index, speaker, in: &finish)
        if !sharing.memory.contains(index) { composeDenials(task, in: &finish) }
        drain(in: &finish)
        // Ignored, it would have its children's ends taken note of without a word, and zombies must stay zombies.
        if hasOwnHandlers { composeActions(task, only: SIGCHLD, in: &finish) }
        queue(task.task.signalsS, toProcess: task.pid, in: &finish)
        if task.threads.indices.contains(speaker) { queue(task.threads[speaker], in: &finish, pid: task.pid) }
        plan.tasks[index].finish = placed(finish)
        noteWaits(index)

        var cleanup = Batch()
        cleanup.call(Int(SYS_close), .signed(plan.tasks[index].channel))
        composeSignalLimit(task, in: &cleanup)
        composeFileLimit(task, in: &cleanup)
        if plan.tasks[index].staysStopped { composeStop(index, in: &cleanup) }
        plan.tasks[index].cleanup = placed(cleanup)
    }
}
