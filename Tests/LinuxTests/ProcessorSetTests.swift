import SystemPackage
import Testing

@testable import Linux

@Suite struct ProcessorSetTests {
    private func places(_ mounts: String, _ groups: String) throws -> [FilePath] {
        ProcessorSet(mounts: try MountInfo.parse(Array(mounts.utf8)))
            .places(of: try ControlGroup.parse(Array(groups.utf8)))
    }

    @Test func aHierarchyOfItsOwn() throws {
        let mounts = """
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
            34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw

            """
        #expect(
            try places(mounts, "3:cpuset:/one/two\n1:cpu:/\n0::/other\n") == [
                "/sys/fs/cgroup/cpuset/one/two/cpuset.effective_cpus", "/sys/fs/cgroup/cpuset/one/two/cpuset.cpus",
            ])
        #expect(try places(mounts, "3:cpuset:/\n").first == "/sys/fs/cgroup/cpuset/cpuset.effective_cpus")
        // The one of a container, of which the mount is not a part.
        #expect(try places(mounts, "3:cpuset:/../one\n") == [])
    }

    @Test func theUnifiedHierarchy() throws {
        let mounts = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
        #expect(
            try places(mounts, "0::/one/two\n") == [
                "/sys/fs/cgroup/one/two/cpuset.cpus.effective", "/sys/fs/cgroup/one/cpuset.cpus.effective",
                "/sys/fs/cgroup/cpuset.cpus.effective",
            ])
        #expect(try places(mounts, "0::/\n") == ["/sys/fs/cgroup/cpuset.cpus.effective"])
    }

    @Test func aPartThatIsMounted() throws {
        let mounts = "30 20 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        #expect(try places(mounts, "0::/docker/1/x\n").first == "/sys/fs/cgroup/x/cpuset.cpus.effective")
        #expect(try places(mounts, "0::/docker/10\n") == [])
        #expect(try places(mounts, "0::/\n") == [])
    }

    @Test func nothingThere() throws {
        #expect(try places("", "0::/\n") == [])
        #expect(try places("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "") == [])
    }
}
