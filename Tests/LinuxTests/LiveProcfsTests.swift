import Linux
import SystemPackage
import Testing

/// The parsers against the kernel that runs the tests: every file of every process that can be read must be understood.
@Suite(.timeLimit(.minutes(2))) struct LiveProcfsTests {
    @Test func everyProcess() throws {
        var read = 0
        for pid in try Procfs.live.processes() {
            let process = Procfs.live.process(pid)
            for look in Self.looks {
                do {
                    try look(process)
                    read += 1
                } catch let error as ProcfsError {
                    // A process may end or be out of reach; its text must never be strange.
                    #expect(error.errno != nil, "\(error)")
                }
            }
        }
        #expect(read > 10)
    }

    private static let looks: [@Sendable (ProcessDirectory) throws -> Void] = [
        { _ = try $0.stat() }, { _ = try $0.status() }, { _ = try $0.maps() }, { _ = try $0.smaps() },
        { _ = try $0.limits() }, { _ = try $0.mounts() }, { _ = try $0.timers() }, { _ = try $0.blockedCall() },
        { _ = try $0.controlGroups() }, { _ = try $0.namespaces() }, { _ = try $0.auxiliaryVector() },
        { _ = try $0.commandLine() }, { _ = try $0.environment() }, { _ = try $0.name() },
        { _ = try $0.personality() }, { _ = try $0.loginUser() }, { _ = try $0.outOfMemoryAdjustment() },
        { _ = try $0.coreDumpFilter() }, { _ = try $0.timerSlack() }, { _ = try $0.waitChannel() },
        { process in for fd in try process.descriptors() { _ = try process.descriptorInfo(fd) } },
    ]

    @Test func noFlagIsUnknown() throws {
        for area in try Procfs.live.process(Processes.current).smaps() {
            #expect(area.details?.unknownFlags == [])
        }
    }

    @Test func thisThread() throws {
        let me = Processes.current
        let thread = Procfs.live.thread(Processes.currentThread, of: me)
        #expect(try thread.stat().state == .running)
        #expect(try thread.status().threadGroup == me)
        #expect(try Procfs.live.process(me).threads().contains(me))
        #expect(try Procfs.live.process(me).link("exe").first == UInt8(ascii: "/"))
        #expect(try Procfs.live.number("sys/kernel/pid_max") >= 32768)
        let limits = try Procfs.live.process(me).limits()
        for (resource, limit) in limits.enumerated() { #expect(try Processes.limit(Int32(resource)) == limit) }
    }
}
