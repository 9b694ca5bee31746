import Linux
import SystemPackage
import Testing

@Suite struct TaskFilesTests {
    @Test func statOfAnAwkwardName() throws {
        let stat = try Recorded.subject.stat()
        #expect(stat.pid == 20616)
        #expect(stat.name == Array("odd) R (x\ny".utf8))
        #expect(stat.state == .sleeping)
        #expect([stat.parent, stat.processGroup, stat.session] == [20611, 20611, 3813])
        #expect(stat.terminal == DeviceNumber(major: 0, minor: 0) && stat.terminalForeground == -1)
        #expect(stat.flags == 4_194_560 && stat.threadCount == 2)
        #expect(stat.startTime == 257_936 && stat.virtualSize == 92_315_648)
        #expect(stat.codeStart == 4_321_280 && stat.codeEnd == 7_148_169)
        #expect(stat.stackStart == 140_733_902_569_024)
        #expect(stat.exitSignal == 17 && stat.processor == 1 && stat.exitCode == 0)
        #expect(stat.dataStart == 9_723_336 && stat.dataEnd == 11_027_064 && stat.brkStart == 259_284_992)
        #expect(stat.argumentsStart == 140_733_902_573_467 && stat.argumentsEnd == 140_733_902_573_522)
        #expect(stat.environmentStart == 140_733_902_573_522 && stat.environmentEnd == 140_733_902_573_543)
    }

    @Test func statOfAKernelThread() throws {
        let stat = try Recorded.procfs.process(31).stat()
        #expect(stat.state == .idle && stat.nice == -20 && stat.name == Array("kworker/0:1H-events".utf8))
    }

    @Test func terminalNumbers() throws {
        // /dev/pts/3 is 136:3; the part of a minor above 255 stands above the major.
        let zeros = String(repeating: " 0", count: 45)
        for (number, minor) in [(136 << 8 | 3, 3), (1 << 20 | 136 << 8 | 8, 264)] as [(UInt64, UInt32)] {
            let stat = try TaskStat(parsing: Array("1 (a) S 0 1 1 \(number)\(zeros)\n".utf8))
            #expect(stat.terminal == DeviceNumber(major: 136, minor: minor))
            #expect(stat.terminal.encoded == number)
        }
    }

    @Test func status() throws {
        let status = try Recorded.subject.status()
        #expect(status.name == Array("odd) R (x\ny".utf8))
        #expect(status.groups == [5, 77777])
        #expect(status.umask == 0o027 && status.threadCount == 2)
        #expect(status.namespacePids == [20616] && status.namespaceSessions == [3813])
        #expect(status.signals.ignored == 0x1001000 && status.signals.caught == 0x1_0000_0002)
        #expect(status.signals.queued == 4 && status.signals.queueLimit == 96365)
        #expect(status.capabilities.permitted == 0x1ff_feff_ffff && status.capabilities.ambient == 0)
        #expect(status.uid == TaskStatus.Identity(real: 0, effective: 0, saved: 0, fileSystem: 0))
        #expect(status.noNewPrivileges == false && status.seccompMode == 0 && status.seccompFilterCount == 0)
        #expect(status.isDumpingCore == false && status.allowsTransparentHugePages == true)
        #expect(status.residentSize == 11576 && status.tracer == 0 && status.state == .sleeping)
    }

    @Test func statusOfAnOlderKernelLacksLines() throws {
        let wanted = [
            "Name", "State", "Tgid", "Pid", "PPid", "TracerPid", "Uid", "Gid", "Groups", "Threads", "SigQ",
            "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd",
        ]
        let text = String(decoding: try Recorded.subject.contents(of: "status"), as: UTF8.self)
        let lines = text.split(separator: "\n").filter { wanted.contains(String($0.prefix { $0 != ":" })) }
        let status = try TaskStatus(parsing: Array(lines.joined(separator: "\n").utf8))
        #expect(status.seccompMode == nil && status.umask == nil && status.capabilities.ambient == nil)
        #expect(status.namespacePids.isEmpty && status.virtualSize == nil)
        for missing in wanted where missing != "Groups" {
            let fewer = lines.filter { !$0.hasPrefix("\(missing):") }
            let error = #expect(throws: ProcfsError.self) {
                try TaskStatus(parsing: Array(fewer.joined(separator: "\n").utf8))
            }
            #expect(error?.description == "status: expected a line \(missing)")
        }
    }

    @Test func limits() throws {
        let limits = try Recorded.subject.limits()
        #expect(limits.count == Int(Processes.limitCount))
        #expect(limits[0] == .init(soft: .max, hard: .max))
        #expect(limits[3] == .init(soft: 8_388_608, hard: .max))
        #expect(limits[7] == .init(soft: 20000, hard: 20000))
        #expect(limits[15].soft == Processes.Limit.unlimited)
    }

    @Test func timers() throws {
        let timers = try Recorded.subject.timers()
        #expect(timers.count == 1)
        let timer = try #require(timers.first)
        #expect(timer.id == 0 && timer.signal == 34 && timer.value == 0x1234 && timer.clock == 1)
        #expect(timer.notification == "signal" && !timer.targetsThread && timer.target == 20616)
    }

    @Test func blockedCall() throws {
        let expected = BlockedCall.call(
            number: 230, arguments: [1, 1, 0x7fff_2a45_3860, 0, 0, 0], stackPointer: 0x7fff_2a45_3820,
            instructionPointer: 0x7f19_9a88_3545)
        #expect(try Recorded.subject.blockedCall() == expected)
        #expect(try BlockedCall(parsing: Array("running\n".utf8)) == .running)
        #expect(
            try BlockedCall(parsing: Array("-1 0x7ff0 0x40\n".utf8))
                == .outside(stackPointer: 0x7ff0, instructionPointer: 0x40))
    }

    @Test func smallFiles() throws {
        let subject = Recorded.subject
        #expect(try subject.commandLine() == ["python3", "-c", "", "subject"].map { Array($0.utf8) })
        #expect(try subject.environment() == ["PATH=/usr/bin", "LANG=C"].map { Array($0.utf8) })
        #expect(try subject.name() == Array("odd) R (x\ny".utf8))
        #expect(try subject.personality() == 0 && subject.loginUser() == .max)
        #expect(try subject.outOfMemoryAdjustment() == 0 && subject.coreDumpFilter() == 0x33)
        #expect(try subject.timerSlack() == 50000)
        #expect(try subject.threads() == [20616, 20619])
        #expect(try subject.link("cwd") == Array("/".utf8))
        let auxiliary = try subject.auxiliaryVector()
        let pageSize = try #require(auxiliary.indices.first { $0 % 2 == 0 && auxiliary[$0] == 6 })
        #expect(auxiliary[pageSize + 1] == 4096)
        let namespaces = try subject.namespaces()
        #expect(namespaces["net"]?.kind == "net" && namespaces["pid_for_children"]?.kind == "pid")
        #expect((namespaces["user"]?.inode ?? 0) > 4_000_000_000)
        #expect(namespaces.count == 10)
    }

    @Test func controlGroups() throws {
        let groups = try Recorded.subject.controlGroups()
        #expect(groups.map(\.hierarchy) == [9, 3, 0])
        #expect(
            groups.map { String(decoding: $0.path, as: UTF8.self) } == ["/user.slice/session 3.scope", "/", "/a:b"])
        #expect(groups[2].controllers.isEmpty)
    }

    @Test func mounts() throws {
        let mounts = try Recorded.subject.mounts()
        #expect(mounts.map(\.id) == [22, 27, 30, 31])
        #expect(mounts[1].propagation == ["shared:1", "master:7", "propagate_from:2"])
        #expect(mounts[1].device == DeviceNumber(major: 254, minor: 0))
        #expect(mounts[2].root == Array("/dir one\\".utf8) && mounts[2].mountPoint == Array("/mnt/a \t\nb".utf8))
        #expect(mounts[2].source.isEmpty && mounts[2].superOptions == Array("rw,size=4k".utf8))
        #expect(mounts[3].fileSystem == Array("fuse.sshfs".utf8) && mounts[3].propagation.isEmpty)
    }

    @Test func aProcessThatIsGone() {
        let error = #expect(throws: ProcfsError.self) { try Recorded.procfs.process(99).stat() }
        #expect(error?.isGone == true && error?.line == nil)
    }
}
