import Diagnostics
import Images
import Linux
import Testing

@testable import Objects

/// What the supplement says of POSIX message queues is not trusted.
@Suite struct PosixQueueTests {
    private static func told(_ changes: JSON.Member...) -> JSON {
        var members: [JSON.Member] = [
            .init("inode", 5), .init("name", "6162"), .init("capacity", 2), .init("size", 4), .init("uid", 1),
            .init("gid", 2), .init("unlinked", false),
            .init("messages", [["priority": 3, "bytes": "00ff"], ["priority": 0, "bytes": ""]]),
        ]
        for change in changes {
            members.removeAll { $0.name == change.name }
            members.append(change)
        }
        return .object(members)
    }

    @Test func whatIsSound() throws {
        let state = try #require(PosixQueueState(Self.told()))
        #expect(state.name == Array("ab".utf8) && state.attributes == .init(capacity: 2, messageSize: 4))
        #expect(state.messages == [.init(priority: 3, bytes: [0, 255]), .init(priority: 0, bytes: [])])
        #expect(!state.isLeft && !state.isUnlinked)
        #expect(PosixQueueState(Self.told(.init("left", true)))?.isLeft == true)
    }

    static let wrong: [JSON.Member] = [
        .init("name", ""), .init("name", "2f61"), .init("name", "6100"), .init("name", "6"), .init("name", "zz"),
        .init("capacity", 0), .init("capacity", 1), .init("capacity", 100_000), .init("size", 0), .init("size", 1),
        .init("size", 1_000_000_000_000), .init("uid", "x"), .init("inode", .null),
        .init("messages", [["priority": 32768, "bytes": ""]]), .init("messages", [["priority": 1, "bytes": "0"]]),
        .init("messages", [["bytes": ""]]), .init("notification", [:]),
        .init("notification", ["process": 1, "descriptor": 2, "manner": "loud"]),
        .init("notification", ["process": 1, "descriptor": -2, "manner": "none"]),
        .init("notification", ["process": 1, "descriptor": 2, "manner": "signal", "signal": 65, "value": 0]),
        .init("notification", ["process": 1, "descriptor": 2, "manner": "signal", "signal": 6]),
        .init("notification", ["process": 1, "descriptor": 2, "manner": "thread", "socket": 3, "cookie": "00"]),
    ]

    static let notifications: [QueueNotification.Manner] = [
        .silent, .signal(0, value: 0), .signal(64, value: .max),
        .message((0..<32).map { UInt8($0) }, socket: 3),
    ]

    @Test(arguments: notifications)
    func whoIsNotified(_ manner: QueueNotification.Manner) throws {
        let notification = QueueNotification(process: 7, descriptor: 8, manner)
        let told = try #require(JSON(parsing: Array(notification.json.text().utf8)))
        #expect(PosixQueueState(Self.told(.init("notification", told)))?.notification == notification)
    }

    @Test(arguments: wrong.indices)
    func whatIsNot(_ index: Int) {
        #expect(PosixQueueState(Self.told(Self.wrong[index])) == nil)
    }
}
