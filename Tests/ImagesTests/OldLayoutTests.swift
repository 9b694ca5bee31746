import Diagnostics
import Images
import SwiftProtobuf
import Testing

/// The layout of old dumps, made from a new one: each part is taken out of the file where new dumps have it, and put
/// into one of its own.
@Suite("Old layouts")
struct OldLayoutTests {
    @Test("Descriptions in files by type give the same table", arguments: Fixture.names)
    func files(name: String) throws {
        let copy = try TemporaryDirectory(copying: name)
        let directory = try copy.open()
        // In files of their own, what is watched names who watches.
        let entries = try directory.messages(.files).map { entry in
            var entry = entry
            for index in entry.epfd.tfd.indices { entry.epfd.tfd[index].id = entry.id }
            for index in entry.ify.wd.indices { entry.ify.wd[index].id = entry.id }
            if !entry.epfd.hasID { entry.clearEpfd() }
            if !entry.ify.hasID { entry.clearIfy() }
            return entry
        }
        try directory.write(entries, as: .files)
        let new = try CheckpointImages(reading: directory)
        try copy.remove("files.img")

        try directory.write(entries.filter(\.hasReg).map(\.reg), as: .regularFiles)
        try directory.write(entries.filter(\.hasPipe).map(\.pipe), as: .pipes)
        try directory.write(entries.filter(\.hasFifo).map(\.fifo), as: .fifos)
        try directory.write(entries.filter(\.hasUsk).map(\.usk), as: .unixSockets)
        try directory.write(entries.filter(\.hasIsk).map(\.isk), as: .inetSockets)
        try directory.write(entries.filter(\.hasTty).map(\.tty), as: .ttyFiles)
        try directory.write(entries.filter(\.hasEfd).map(\.efd), as: .eventfds)
        try directory.write(entries.filter(\.hasSgfd).map(\.sgfd), as: .signalfds)
        try directory.write(entries.filter(\.hasTfd).map(\.tfd), as: .timerfds)
        let epolls = entries.filter(\.hasEpfd).map(\.epfd)
        try directory.write(
            epolls.map { epoll in
                var bare = epoll; bare.tfd = []; return bare
            }, as: .epolls)
        try directory.write(epolls.flatMap(\.tfd), as: .epollTargets)
        let inotifies = entries.filter(\.hasIfy).map(\.ify)
        try directory.write(
            inotifies.map { ify in
                var bare = ify; bare.wd = []; return bare
            }, as: .inotifies)
        try directory.write(inotifies.flatMap(\.wd), as: .inotifyWatches)
        // memfds came after `files.img`.
        try directory.write(entries.filter(\.hasMemfd), as: .files)

        let old = try CheckpointImages(reading: directory)
        #expect(old.files.entries == new.files.entries)
        #expect(!old.files.entries.isEmpty)
    }

    @Test("Timers, limits, signals, credentials and mappings in files of their own give the same tasks")
    func tasks() throws {
        for name in ["timers", "threads", "count", "attributes"] {
            let new = try CheckpointImages(reading: ImageDirectory(opening: Fixture.path(name)))
            let copy = try TemporaryDirectory(copying: name)
            let directory = try copy.open()
            for task in new.tasks {
                try split(task, in: directory, of: copy)
            }
            let old = try CheckpointImages(reading: directory)
            for (one, other) in zip(old.tasks, new.tasks) {
                #expect(one.core == other.core, "\(name) \(one.pid)")
                #expect(one.memory == other.memory)
                #expect(one.ids == other.ids)
                #expect(one.threads.map(\.core) == other.threads.map(\.core))
            }
        }
    }

    /// Rewrites the images of a task as an old dump has them.
    private func split(_ task: TaskImages, in directory: ImageDirectory, of copy: TemporaryDirectory) throws {
        let pid = UInt64(UInt32(task.pid))
        var core = task.core
        try directory.write([core.tc.timers.real, core.tc.timers.virt, core.tc.timers.prof], as: .itimers, id: pid)
        try directory.write(core.tc.timers.posix, as: .posixTimers, id: pid)
        try copy.put(old(core.tc.rlimits.rlimits), "rlimit-\(pid).img")
        try copy.put(old(core.tc.sigactions), "sigacts-\(pid).img")
        try copy.put(old(core.tc.signalsS.signals), "signal-s-\(pid).img")
        try directory.write([core.threadCore.creds], as: .creds, id: pid)
        core.tc.clearTimers()
        core.tc.clearRlimits()
        core.tc.sigactions = []
        if !core.tc.signalsS.signals.isEmpty { core.tc.clearSignalsS() }
        core.threadCore.clearCreds()
        core.threadCore.clearComm()
        core.threadCore.clearBlkSigset()
        core.clearIds()
        try directory.write([core], as: .core, id: pid)

        for thread in task.threads.dropFirst() {
            var core = thread.core
            let tid = UInt64(UInt32(thread.tid))
            if !core.threadCore.signalsP.signals.isEmpty {
                try copy.put(old(core.threadCore.signalsP.signals), "signal-p-\(tid).img")
                core.threadCore.clearSignalsP()
            }
            core.threadCore.clearCreds()
            try directory.write([core], as: .core, id: tid)
        }

        var memory = try #require(task.memory)
        try copy.put(old(memory.vmas), "vmas-\(pid).img")
        memory.vmas = []
        try directory.write([memory], as: .mm, id: pid)
    }

    /// A file of a kind that is never written any more.
    private func old(_ messages: [some Message]) throws -> [UInt8] {
        var bytes: [UInt8] = [0x19, 0x43, 0x56, 0x54, 0x01, 0x02, 0x03, 0x04]
        for message in messages {
            let content: [UInt8] = try message.serializedBytes()
            for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8((content.count >> shift) & 0xff)) }
            bytes += content
        }
        return bytes
    }

    @Test("Descriptor tables by pid, from before tables could be shared")
    func descriptorsByPid() throws {
        let copy = try TemporaryDirectory(copying: "count")
        let directory = try copy.open()
        let new = try CheckpointImages(reading: directory)
        var inventory = try directory.required(.inventory)
        inventory.fdinfoPerID = false
        try directory.write([inventory], as: .inventory)
        for task in new.tasks { try directory.write(task.descriptors, as: .fdinfo, id: UInt64(task.pid)) }
        let old = try CheckpointImages(reading: directory)
        #expect(old.tasks.map(\.descriptors) == new.tasks.map(\.descriptors))
        #expect(old.tasks.map(\.descriptors.count) == [4, 3])
    }
}
