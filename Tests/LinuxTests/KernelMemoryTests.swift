import CLinux
import Glibc
import SystemPackage
import Testing

@testable import Linux

/// What is read from the kernel's memory is compared with what was put there.
@Suite("Memory of the kernel", .enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(2)))
struct KernelMemoryTests {
    @Test func layoutsAreTold() throws {
        let types = try KernelTypes.running()
        #expect(types.offset(of: "next", in: "sk_buff") == 0)
        #expect(types.offset(of: "sk_receive_queue.qlen", in: "sock") != nil)
        #expect(types.size(of: "page") == 64)
        #expect(types.offset(of: "nothing", in: "sock") == nil)
        #expect(types.size(of: "no such structure") == nil)
    }

    @Test func noTypesInOtherBytes() {
        #expect(KernelTypes([]) == nil)
        #expect(KernelTypes([UInt8](repeating: 7, count: 64)) == nil)
        // A header whose lengths lie.
        #expect(
            KernelTypes([0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]) == nil)
    }

    @Test func nothingIsReadWhereNothingIs() throws {
        #expect(throws: Errno.badAddress) {
            try KernelMemory.use { (kernel) throws(Errno) in try kernel.bytes(8, at: 16) }
        }
    }

    /// Mappings are those of `/proc/PID/maps`, and a flag that only `smaps` tells changes one of them.
    @Test(
        .enabled(if: Self.hasSequence, "before Linux 6.4 the kernel keeps no number that tells of changes"),
        arguments: [1, 700])
    func mappingsAreThoseOfTheProcess(_ count: UInt) throws {
        let pid = try Subprocess.spawn(["sleep", "1000"])
        defer {
            try? Processes.kill(pid, signal: SIGKILL)
            _ = try? Processes.wait(for: pid)
        }
        func maps() -> [Range<UInt64>] {
            ((try? ProcessDirectory(pid).maps()) ?? []).filter { $0.name != .vsyscall }.map(\.range)
        }
        // It has been loaded.
        for _ in 0..<400 where (try? ProcessDirectory(pid).stat().state) != .sleeping || maps().count < 9 {
            usleep(5000)
        }
        let seen = try KernelMappings(of: pid)
        #expect(seen.areas.map(\.range) == maps())
        #expect(seen.areas.contains { $0.flags != seen.areas[0].flags })
        #expect(seen.isSameMoment(as: try KernelMappings(of: pid)))

        // Of this process: mappings that cannot be joined, and one whose flags change.
        let size = count * 2 * 4096
        let start = try call(Int(SYS_mmap), 0, size, 3, 0x22, UInt(signed: -1), 0)
        defer { _ = outcome(of: Int(SYS_munmap), UInt(bitPattern: start), size) }
        let first = UInt64(UInt(bitPattern: start))
        for index in 0..<UInt64(count) {
            _ = try call(Int(SYS_mprotect), UInt(first + index * 8192), 4096, 1)
        }
        let before = try KernelMappings(of: Processes.current)
        let own = before.areas.filter { $0.range.lowerBound >= first && $0.range.upperBound <= first + UInt64(size) }
        #expect(own.count >= Int(count) * 2 - 1)
        let doNotFork: UInt = 10
        _ = try call(Int(SYS_madvise), UInt(first), 4096, doNotFork)
        let after = try KernelMappings(of: Processes.current)
        #expect(!before.isSameMoment(as: after) && before != after)
        let changed = after.areas.filter { !before.areas.contains($0) && $0.range.lowerBound == first }
        #expect(changed.count == 1)
    }

    private static let hasSequence = (try? KernelTypes.running())?.offset(of: "mm_lock_seq", in: "mm_struct") != nil

    @Test func mappingsOfNobody() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { try KernelMappings(of: Int32.max) }
    }

    @Test func copiesOfADescriptorAreOneFile() throws {
        let one = try Files.memory(named: "one")
        let copy = try Files.duplicate(one.raw)
        let other = try Files.memory(named: "other")
        let files = try KernelMemory.use { (kernel) throws(Errno) in
            [try kernel.file(one.raw), try kernel.file(copy.raw), try kernel.file(other.raw)]
        }
        #expect(files[0] == files[1] && files[0] != files[2])
    }

    /// Small ones are in one piece, large ones in pages.
    @Test(arguments: [1, 5, 4096, 40_000, 150_000]) func messagesInAQueue(_ size: Int) throws {
        let ends = try Files.socketPair(type: Sockets.stream)
        let bytes = (0..<size).map { _ in UInt8.random(in: 0...255) }
        var sent = 0
        while sent < size { sent += try Sockets.send(ends.first.raw, SocketMessage(Array(bytes[sent...]))) }
        let found = try KernelMemory.use { (kernel) throws(Errno) in
            try KernelMessages(kernel).waiting(on: kernel.socket(ends.second.raw)).messages.flatMap(\.payload)
        }
        #expect(found == bytes)
    }

    @Test func aConnectionThatNobodyHasAccepted() throws {
        let listener = try Sockets.make(Sockets.unix, Sockets.sequencedPackets)
        let client = try Sockets.make(Sockets.unix, Sockets.sequencedPackets)
        // A name that the kernel chooses.
        try Sockets.bind(listener.raw, [1, 0])
        try Sockets.listen(listener.raw, backlog: 3)
        try Sockets.connect(client.raw, try Sockets.name(of: listener.raw))
        var message = SocketMessage(Array("first".utf8))
        message.descriptors = [client.raw]
        try Sockets.send(client.raw, message)
        try Sockets.send(client.raw, SocketMessage(Array("second".utf8)))
        let (file, found) = try KernelMemory.use { (kernel) throws(Errno) -> (UInt64, KernelMessages.Waiting) in
            let messages = KernelMessages(kernel)
            let waiting = try messages.connections(waitingAt: kernel.socket(listener.raw))
            guard waiting.count == 1, let one = waiting.first else { throw .badMessage }
            guard try messages.peer(of: kernel.socket(client.raw)) == one else { throw .badMessage }
            return (try kernel.file(client.raw), try messages.waiting(on: one))
        }
        #expect(found.messages.map(\.payload) == [Array("first".utf8), Array("second".utf8)])
        #expect(found.messages.allSatisfy { $0.credentials == .init(pid: getpid(), uid: geteuid(), gid: getegid()) })
        #expect(found.files == [[file], []])
        #expect(found.client?.pid == getpid() && found.client?.uid == geteuid())
    }
}
