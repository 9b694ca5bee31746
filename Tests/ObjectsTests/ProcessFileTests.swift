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
}
