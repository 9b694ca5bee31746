internal import CLinux
internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// What can be opened only when the processes of the tree are there: pidfds, files of `/proc` about them.
///
/// Apus opens it, once, as everything else, but after the tasks have been made, so that they cannot inherit it. Each that
/// needs one fetches it (pidfd_getfd(2)) and puts it under the number that it would have inherited it at; from there
/// on nothing distinguishes it.
extension Planner {
    struct LateDescriptors {
        var numbers: Set<Int32> = []
        /// The service descriptor of a pidfd of Apus.
        var apus: Int32?
    }

    mutating func noteLate(_ number: Int32) {
        late.numbers.insert(number)
        guard late.apus == nil else { return }
        let apus = takeDescriptor()
        late.apus = apus
        plan.openings.append(.init(descriptor: apus, resource: ApusItself()))
    }

    /// Adds the fetching of a service descriptor, where it is one that could not be inherited. To do it twice does no harm.
    func fetch(_ number: Int32, in batch: inout Batch) {
        guard late.numbers.contains(number), let apus = late.apus else { return }
        let fetched = Batch.Argument.result(
            batch.call(
                Int(SYS_pidfd_getfd), .signed(apus), .signed(number), 0, for: "fetch descriptor \(number) from Apus"))
        batch.call(Int(SYS_dup3), fetched, .signed(number), 0)
        batch.call(Int(SYS_close), fetched)
    }
}

/// Files of `/proc` about descriptors of tasks: these have none of their own yet when such files are opened, and the
/// kernel wants to find something under the number (proc_pid_fdinfo(5)).
extension Planner {
    /// About which numbers of which tasks something is open, by pid.
    static func describedNumbers(_ images: CheckpointImages) -> [Int32: Set<Int32>] {
        images.files.entries.values.reduce(into: [:]) { all, entry in
            guard entry.hasReg, let (pid, number) = ProcessFile.descriptor(of: entry.reg.path),
                images.task(pid) != nil
            else { return }
            all[pid, default: []].insert(number)
        }
    }

    /// Puts something under these numbers; it gives way to what the task has there, or to nothing.
    func holdDescribedNumbers(of pid: Int32, in batch: inout Batch) {
        for number in described[pid, default: []].sorted() {
            batch.call(
                Int(SYS_dup3), .signed(plan.mailboxDescriptor), .signed(number), 0,
                for: "have something open under number \(number)")
        }
    }
}

/// The process that restores, as others see it.
struct ApusItself: Resource {
    var description: String { "pidfd of Apus itself" }

    func obstacles(at site: RestoreSite) -> [Problem] { [] }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            return try Processes.open(Processes.current)
        } catch {
            throw Problem(
                .restoreFailed, "Apus cannot open itself", cause: .init(error, attempted: "pidfd_open"),
                remedy: "The kernel must be 5.6 or later")
        }
    }
}
