import Diagnostics
import Images
import Linux
import Testing

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
        told.connector = StandIn(pid: .max, uid: 0, gid: 0, groups: [5, .max])
        #expect(try SocketSupplement(JSON(parsing: (told.json ?? .null).text().utf8), id: 1) == told)
        #expect(SocketSupplement().json == nil)
    }

    @Test(arguments: [
        #"{"peer":{"pid":-1,"uid":0,"gid":0,"groups":[]}}"#,
        #"{"peer":{"pid":1,"uid":4294967296,"gid":0,"groups":[]}}"#,
        #"{"peer":{"pid":1,"uid":0,"gid":0}}"#, #"{"peer":{"pid":1,"uid":0,"gid":0,"groups":["5"]}}"#,
        #"{"connector":7}"#, #"{"journal":"410a42"}"#, #"{"journal":"4100"}"#, #"{"journal":7}"#,
        #"{"devices":{"x":"lo"}}"#, #"{"devices":{"1":""}}"#, #"{"senders":["0"]}"#,
        #"{"senders":["xy"]}"#, #"{"options":{"9999":1}}"#,
    ])
    func whatMakesNoSense(_ text: String) {
        #expect(throws: Problem.self) { try SocketSupplement(JSON(parsing: text.utf8), id: 1) }
    }

    /// More groups than a process can have.
    @Test func tooManyGroups() {
        let groups = String(repeating: "1,", count: 70_000) + "1"
        let text = #"{"peer":{"pid":1,"uid":0,"gid":0,"groups":[\#(groups)]}}"#
        #expect(throws: Problem.self) { try SocketSupplement(JSON(parsing: text.utf8), id: 1) }
    }
}
