import CLinux
import Glibc
import SystemPackage
import Testing

@testable import Linux

@Suite("Extended state of a stopped thread")
struct ExtendedStateTests {
    @Test("What a processor without XSAVE gives is the beginning of what others give")
    func legacy() throws {
        let child = try Child(["/bin/sleep", "100"])
        try child.fallAsleep()
        try Ptrace.seize(child.pid, options: [])
        try Ptrace.interrupt(child.pid)
        _ = try Ptrace.wait(child.pid, blocking: true)
        let (legacy, whole) = (try Ptrace.legacyState(child.pid), try Ptrace.extendedState(child.pid))
        #expect(legacy.count == 512)
        // The bytes from 464 on belong to whoever writes the area.
        #expect(legacy[..<464] == whole[..<464])
        // The control word of x87 and MXCSR, as programs begin with them.
        #expect(legacy[..<2] == [0x7f, 0x03] && legacy[24..<28] == [0x80, 0x1f, 0, 0])
    }
}
