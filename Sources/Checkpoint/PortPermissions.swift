internal import Diagnostics
internal import Linux
internal import Objects
internal import Tracing

/// I/O ports that threads may use themselves (ioperm(2)): the kernel shows them to tracers alone (NT_386_IOPERM), and images
/// have no place for them. What iopl(2) allows it shows to nobody.
enum PortPermissions {
    static func refuse(_ process: FrozenProcess, _ surveyed: SurveyedProcess) throws(Problem) {
        for thread in process.threads where Ptrace.hasPortPermissions(thread.tid) {
            throw Problem(
                .unsupported, "thread \(thread.tid) may use I/O ports (ioperm(2)), which images have no place for",
                object: surveyed.object, remedy: "Have the program give them up before the dump")
        }
    }
}
