import CLinux
import Linux
import SystemPackage
import Testing

@Suite struct NamesTests {
    @Test func errors() {
        #expect(Errno.noSuchFileOrDirectory.name == "ENOENT")
        #expect(Errno.resourceTemporarilyUnavailable.name == "EAGAIN")
        #expect(Errno(rawValue: 133).name == "EHWPOISON")
        #expect(Errno(rawValue: 41).name == "errno 41" && Errno(rawValue: 512).name == "errno 512")
        #expect(Errno(rawValue: -1).name == "errno -1" && Errno(rawValue: 0).name == "errno 0")
    }

    #if arch(x86_64)
        @Test func systemCalls() {
            #expect(SystemCallName.of(Int(SYS_read)) == "read")
            #expect(SystemCallName.of(Int(SYS_ptrace)) == "ptrace")
            #expect(SystemCallName.of(Int(SYS_rseq)) == "rseq")
            #expect(SystemCallName.of(Int(SYS_pidfd_send_signal)) == "pidfd_send_signal")
            #expect(SystemCallName.of(Int(SYS_clone3)) == "clone3")
            #expect(SystemCallName.of(467) == "open_tree_attr")
            #expect(SystemCallName.of(400) == "syscall_400" && SystemCallName.of(-1) == "syscall_-1")
        }
    #endif

    @Test func signals() {
        #expect(SignalName.of(9) == "SIGKILL" && SignalName.of(31) == "SIGSYS" && SignalName.of(17) == "SIGCHLD")
        #expect(SignalName.of(34) == "SIGRTMIN" && SignalName.of(36) == "SIGRTMIN+2" && SignalName.of(64) == "SIGRTMAX")
        #expect(SignalName.of(0) == "signal 0" && SignalName.of(65) == "signal 65")
    }

    @Test func kernels() throws {
        #expect(KernelVersion(release: Array("6.1.0-49-amd64".utf8)) == KernelVersion(6, 1, 0))
        #expect(KernelVersion(release: Array("5.10-rc1+".utf8)) == KernelVersion(5, 10))
        #expect(KernelVersion(release: Array("linux".utf8)) == nil)
        #expect(KernelVersion(6, 2) > KernelVersion(5, 19, 17) && KernelVersion(6, 2) < KernelVersion(6, 10))
        let host = try HostFacts()
        #expect(host.system == Array("Linux".utf8) && host.kernel >= KernelVersion(5, 10))
        #expect(try host.release == Files.contents(of: "/proc/sys/kernel/osrelease").dropLast())
        #expect(HostFacts.pageSize == 4096 && HostFacts.ticksPerSecond == 100)
    }
}
