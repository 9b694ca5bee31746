import Glibc
import Testing

/// What lies in the kernel's memory alone: what was sent on Unix connections that nobody has accepted yet, and unfinished datagrams. (What
/// can be carried of them the subjects `unaccepted` and `corked` show.)
@Suite("Messages before accept", .enabled(if: geteuid() == 0, "needs root"))
struct EarlyMessagesTests {
    /// A descriptor that is on its way so can be seen, and not be taken.
    @Test func aDescriptorThatNobodyHasOpen() throws {
        try withWorld { world in
            let running = try RunningSubject(
                Subject(name: "unsupported", arguments: ["socket-early", "FOLDER"]), in: world)
            try refuse(
                running, "a descriptor of \"memfd:passed\" was sent on a connection that is not accepted yet",
                in: world)
        }
    }

    /// Kernels without BTF, or without BPF, let nobody look.
    @Test(arguments: [("unaccepted", "not accepted yet, where it cannot be read"), ("corked", "(UDP_CORK), where it")])
    func whereTheKernelCannotBeRead(_ subject: String, _ words: String) throws {
        try withWorld { world in
            let running = try RunningSubject(Subject(name: subject), in: world)
            // In the world's own mount namespace.
            try world.succeed("mount", "-t", "tmpfs", "none", "/sys/kernel/btf")
            try refuse(running, words, in: world)
            #expect(running.check() == [])
        }
    }

    private func refuse(
        _ running: RunningSubject, _ words: String, in world: World
    ) throws {
        let before = running.snapshot
        try world.succeed("mkdir", world.path("images"))
        let finished = try world.command(
            [Place.apus, "dump", "-t", "\(running.pid)", "-D", world.path("images")]
        ).run()
        let said = finished.errors.replacing("\n", with: " ").split(separator: " ").joined(separator: " ")
        #expect(finished.status == 1 && said.contains(words) && said.contains("error[under-way]"), "\(finished)")
        #expect(!exists(world.path("images/inventory.img")))
        #expect(running.changes(since: before) == [])
    }
}
