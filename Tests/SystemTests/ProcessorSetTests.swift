import Glibc
import Testing

/// Processors that a control group leaves to a program are no binding of the program's own.
@Suite(
    "Processors of a control group", .enabled(if: geteuid() == 0, "needs root"),
    .enabled(if: ControlledSet.folder != nil, "needs a cpuset hierarchy that can be written to, and two processors"))
struct ProcessorSetTests {
    @Test(arguments: [false, true])
    func isNotRecordedAsABinding(_ isBound: Bool) throws {
        try withWorld { world in
            let set = try ControlledSet(processors: "0", in: world)
            defer { set.remove() }
            let running = try RunningSubject(Subject(name: "threads"), in: world)
            if isBound {
                // Within the set of all: a binding, whatever others have from their groups.
                try world.succeed("taskset", "-a", "-p", "-c", "0", "\(running.pid)")
            } else {
                try set.take(running.pid)
            }
            #expect(allowed(running, world) == "0")
            try world.requireDump(running.pid, to: "images")
            #expect(text(world.path("images/supplement.json")).contains("\"processors\"") == isBound)
            try world.requireRestore("images")
            #expect((allowed(running, world) == "0") == isBound)
            #expect(running.check() == [])
        }
    }

    private func allowed(_ running: RunningSubject, _ world: World) -> String {
        let shown = try? world.command(["grep", "Cpus_allowed_list", "/proc/\(running.pid)/status"]).run()
        return (shown?.output.split(separator: "\t").last).map { $0.filter { $0 != "\n" } } ?? ""
    }
}

/// A control group with some processors, outside of the world: it is to be removed.
private struct ControlledSet {
    /// The hierarchy of version 1, or the root of version 2 where it controls processors.
    static let folder: String? = {
        guard sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 else { return nil }
        return ["/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"].first { folder in
            exists("\(folder)/cpuset.cpus") || text("\(folder)/cgroup.subtree_control").contains("cpuset")
        }
    }()

    private let path: String
    private let world: World

    init(processors: String, in world: World) throws {
        self.world = world
        path = "\(Self.folder ?? "")/apus-test-\(getpid())-\(Int.random(in: 0..<1_000_000))"
        try world.succeed("mkdir", path)
        try world.succeed("sh", "-c", "echo 0 >'\(path)/cpuset.mems'; echo \(processors) >'\(path)/cpuset.cpus'")
    }

    /// By the pid that it has in the world.
    func take(_ pid: Int32) throws { try world.succeed("sh", "-c", "echo \(pid) >'\(path)/cgroup.procs'") }

    func remove() {
        world.killAll()
        _ = eventually { unsafe rmdir(path) == 0 }
    }
}
