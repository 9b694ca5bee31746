import Linux
import SystemPackage
import Testing

@Suite struct DescriptorInfoTests {
    @Test func listing() throws {
        #expect(try Recorded.subject.descriptors() == [3, 6, 7, 8, 9])
        #expect(try Recorded.subject.descriptorLink(3) == Array("/tmp/subject/odd \nname".utf8))
        #expect(try Recorded.subject.descriptorLink(7) == Array("anon_inode:[eventfd]".utf8))
    }

    @Test func regularFileWithALock() throws {
        let info = try Recorded.subject.descriptorInfo(6)
        #expect(info.position == 123 && info.mountID == 27 && info.inode == 16_229_118 && info.rest.isEmpty)
        #expect(info.flags == [.writeOnly, .append, .closeOnExec, .largeFile])
        #expect(info.flags.canWrite && !info.flags.canRead)
        let lock = try #require(info.locks.first)
        #expect(info.locks.count == 1 && lock.kind == .flock && lock.mode == .write && !lock.isMandatory)
        #expect(lock.pid == 20616 && lock.inode == 16_229_118 && lock.start == 0 && lock.last == nil)
        #expect(lock.device == DeviceNumber(major: 254, minor: 0))
    }

    @Test func rangeLock() throws {
        let lock = try #require(try Recorded.subject.descriptorInfo(3).locks.first)
        #expect(lock.kind == .posix && lock.start == 10 && lock.last == 109)
    }

    @Test func linesOfKinds() throws {
        let event = try Recorded.subject.descriptorInfo(7)
        #expect(event.values(of: "eventfd-count") == [Array("5".utf8)])
        #expect(event.rest.map(\.keyText) == ["eventfd-count", "eventfd-id", "eventfd-semaphore"])
        let watch = try #require(try Recorded.subject.descriptorInfo(8).rest.first)
        #expect(watch.keyText == "inotify wd")
        #expect(watch.valueText.hasPrefix("1 ino:f7a2fb sdev:fe00000 mask:2 "))
    }

    /// An epoll line repeats "ino:", which must not be taken for the descriptor's.
    @Test func epollLine() throws {
        let text =
            "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t9\ntfd:        5 events:       1d data: ff pos:0 ino:61af sdev:7\n"
        let info = try DescriptorInfo(parsing: Array(text.utf8))
        #expect(info.inode == 9)
        #expect(info.rest.map(\.keyText) == ["tfd"])
        #expect(info.rest.first?.valueText == "5 events:       1d data: ff pos:0 ino:61af sdev:7")
    }
}
