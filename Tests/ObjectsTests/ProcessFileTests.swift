import SystemPackage
import Testing

@testable import Objects

/// Which process a path of /proc is about.
@Suite struct ProcessFileTests {
    @Test func pathsAboutProcesses() {
        #expect(ProcessFile.process(of: "/proc/12/status") == 12)
        #expect(ProcessFile.process(of: "/proc/12") == 12)
        #expect(ProcessFile.process(of: "/proc/12 (deleted)") == 12)
        #expect(ProcessFile.process(of: "/proc/12/task/13/comm (deleted)") == 12)
    }

    @Test func otherPaths() {
        for path in ["/proc", "/proc/self/status", "/proc/0/status", "/proc/-3", "/proc/12x/status", "/proc/sys/12"] {
            #expect(ProcessFile.process(of: .init(path)) == nil, "\(path)")
        }
        #expect(ProcessFile.process(of: "/proc/99999999999999999999/status") == nil)
        #expect(ProcessFile.process(of: "proc/12/status") == nil)
        #expect(ProcessFile.process(of: "/srv/proc/12") == nil)
        #expect(ProcessFile.process(of: "/proc/12 (deleted)/status") == nil)
    }

    @Test func pathsAboutDescriptors() {
        for (path, pid, number) in [
            ("/proc/12/fdinfo/3", 12, 3), ("/proc/12/fd/3 (deleted)", 12, 3), ("/proc/12/task/12/fdinfo/170", 12, 170),
        ] {
            let found = ProcessFile.descriptor(of: .init(path))
            #expect(found?.pid == Int32(pid) && found?.number == Int32(number), "\(path)")
        }
        for path in [
            "/proc/12/fdinfo", "/proc/12/fdinfo/x", "/proc/12/fdinfo/-1", "/proc/12/map_files/3", "/proc/fdinfo/3",
            "/proc/12/fdinfo/3/4", "/proc/12/task/12/comm", "/proc/12/fdinfo/99999999999", "/srv/12/fdinfo/3",
        ] {
            #expect(ProcessFile.descriptor(of: .init(path)) == nil, "\(path)")
        }
    }
}
