import Diagnostics
import Images
import Testing

@testable import Linux
@testable import Objects

/// What the supplement says of sockets: it is input like all images.
@Suite("Supplement of sockets")
struct SocketSupplementTests {
    @Test func thereAndBack() throws {
        var told = SocketSupplement()
        told.options = [(35, 1)]
        told.order = 3
        told.senders = [[], [0, 65, 255]]
        told.devices = [3: "eth0"]
        told.journal = [65, 66]
        told.peer = StandIn(pid: 0, uid: .max - 1, gid: 7, groups: [])
        told.sent = 9
        let stream = KernelMessages.Stream(
            ends: .init(
                own: .init(address: [127, 0, 0, 1], port: 80), other: .init(address: [10, 0, 0, 1], port: .max)),
            state: 8, device: 0, received: .max, sent: 7, unacknowledged: 7, options: 5, sendScale: 14, receiveScale: 1,
            largestSegment: 1460, timestampOffset: 3, peerTimestamp: 4, window: 5, isUrgent: false, payload: [])
        told.streams = [WaitingStream(stream, data: 12)]
        #expect(told.streams[0].hasEnded)
        told.unfinished = UnfinishedDatagram(data: 3, receiver: .init(address: [10, 0, 0, 1], port: 53))
        told.fastOpenKey = Array(0..<32)
        told.leavers = [.init(order: 0, sent: .max, client: nil), .init(order: 2, sent: 1, client: told.peer)]
        told.connector = StandIn(pid: .max, uid: 0, gid: 0, groups: [5, .max])
        #expect(try SocketSupplement(JSON(parsing: (told.json ?? .null).text().utf8), id: 1) == told)
        #expect(SocketSupplement().json == nil)
    }

    @Test(arguments: [
        #"{"peer":{"pid":-1,"uid":0,"gid":0,"groups":[]}}"#,
        #"{"peer":{"pid":1,"uid":4294967296,"gid":0,"groups":[]}}"#,
        #"{"peer":{"pid":1,"uid":0,"gid":0}}"#, #"{"peer":{"pid":1,"uid":0,"gid":0,"groups":["5"]}}"#,
        #"{"fastOpenKey":"00"}"#, #"{"fastOpenKey":7}"#,
        #"{"unfinished":{"data":1,"port":70000,"address":"7f000001"}}"#,
        #"{"unfinished":{"data":1,"port":7,"address":"7f"}}"#,
        #"{"streams":[{}]}"#, #"{"streams":[{"own":"7f000001","peer":"00"}]}"#,
        #"{"leavers":7}"#, #"{"leavers":[{"order":1}]}"#, #"{"leavers":[{"order":-1,"sent":1}]}"#,
        #"{"leavers":[{"order":1,"sent":1,"client":5}]}"#, #"{"sent":-1}"#, #"{"sent":"1"}"#,
        #"{"connector":7}"#, #"{"journal":"410a42"}"#, #"{"journal":"4100"}"#, #"{"journal":7}"#,
        #"{"devices":{"x":"lo"}}"#, #"{"devices":{"1":""}}"#, #"{"senders":["0"]}"#,
        #"{"senders":["xy"]}"#, #"{"options":{"9999":1}}"#,
    ])
    func whatMakesNoSense(_ text: String) {
        #expect(throws: Problem.self) { try SocketSupplement(JSON(parsing: text.utf8), id: 1) }
    }

    /// Of `ret #0xffff` the number is the one in an image made by CRIU 3.17. The other is a jump, whose every part differs.
    @Test(
        arguments: [
            ([0x06, 0, 0, 0, 0xff, 0xff, 0, 0], 1_688_849_860_329_471),
            ([0x15, 0, 1, 2, 0x03, 0x04, 0x05, 0x86], 0x0015_0102_8605_0403),
        ] as [([UInt8], UInt64)])
    func filtersOfPacketsAreStoredAsByCriu(_ filter: [UInt8], _ image: UInt64) {
        #expect(SocketOptions.packed(filter) == [image])
        #expect(SocketOptions.unpacked([image]) == filter)
    }

    /// More groups than a process can have.
    @Test func tooManyGroups() {
        let groups = String(repeating: "1,", count: 70_000) + "1"
        let text = #"{"peer":{"pid":1,"uid":0,"gid":0,"groups":[\#(groups)]}}"#
        #expect(throws: Problem.self) { try SocketSupplement(JSON(parsing: text.utf8), id: 1) }
    }
}
