import Images
import Linux
import SystemPackage
import Testing

@testable import Objects

/// Locks that dumps have left, and other addresses for sockets, without a kernel.
@Suite("Locks of the network, on paper")
struct NetworkLockTests {
    private static let one = "0a0b0c0d-0000-4000-8000-000000000001"
    private static let two = "0a0b0c0d-0000-4000-8000-000000000002"

    @Test func keptLocksAreToldApart() {
        let comment = KeptLock.comment(connections: 3, of: 17, images: "/a; images in/b")
        let locks = KeptLock.find(in: [
            .init(name: "filter", comment: "of somebody else"), .init(name: "apus-kept-\(Self.two)", comment: comment),
            .init(name: "apus-kept-\(Self.one)"), .init(name: "apus-work-\(Self.one)"), .init(name: "apus-kept-x"),
        ])
        #expect(locks.map(\.name) == ["apus-kept-\(Self.one)", "apus-kept-\(Self.two)"])
        #expect(locks.map(\.isInUse) == [true, false])
        #expect(locks.map(\.images) == [nil, "/a; images in/b"])
        #expect(locks[1].about == "3 TCP connections of process 17")
        #expect(locks.map(\.isAbandoned) == [false, true])
    }

    /// The path would be another one.
    @Test func aLongPathIsLeftOut() {
        let path = "/" + String(repeating: "x", count: 250)
        #expect(KeptLock.comment(connections: 1, of: 2, images: .init(path)) == "1 TCP connection of process 2")
        #expect(KeptLock.comment(connections: 0, of: 2, images: .init(path)) == "new TCP connections of process 2")
    }

    @Test(arguments: [
        "1.2.3.4=5.6.7.8", "1.2.3.4:80=5.6.7.8", "1.2.3.4=5.6.7.8:1", "::1=fd00::2", "[::1]:80=[::2]:81", "[::1]=::2",
    ])
    func otherAddresses(_ text: String) { #expect(Rebinding(text)?.description == text) }

    @Test(arguments: [
        "", "=", "1.2.3.4", "1.2.3.4=", "1.2.3.4=::1", "1.2.3=1.2.3.4", "1.2.3.4:0=1.2.3.4", "1.2.3.4:65536=1.2.3.4",
        "1.2.3.4=1.2.3.4=1.2.3.4", "[::1=::2", "[::1]80=::2", "[1.2.3.4]:80=1.2.3.4", "a=b",
    ])
    func noAddresses(_ text: String) { #expect(Rebinding(text) == nil) }

    @Test func onlySocketsWithoutAConnectionMove() throws {
        func socket(_ state: UInt32, _ address: InetAddress) -> InetSkEntry {
            var socket = InetSkEntry()
            socket.family = address.isSix ? 10 : 2
            socket.proto = 6
            socket.state = state
            socket.srcPort = UInt32(address.port)
            socket.srcAddr = address.words
            return socket
        }
        let four = try #require(InetAddress([2, 0, 0, 80, 1, 2, 3, 4] + [UInt8](repeating: 0, count: 8)))
        var mapped = InetAddress(isSix: true)
        mapped.bytes = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 1, 2, 3, 4]
        mapped.port = 80
        let sockets = [
            socket(InetSocket.listening, four), socket(TCPState.established, four),
            socket(InetSocket.listening, mapped),
        ]
        var files = FileTable()
        for (id, socket) in sockets.enumerated() {
            var entry = FileEntry()
            entry.isk = socket
            files.entries[.init(.inetsk, UInt32(id))] = entry
        }
        #expect(try #require(Rebinding("1.2.3.4:81=5.6.7.8")).apply(to: &files) == 0)
        #expect(try #require(Rebinding("1.2.3.4=5.6.7.8:90")).apply(to: &files) == 2)
        let places = (0..<3).compactMap { files.entries[.init(.inetsk, UInt32($0))]?.isk }.map {
            InetAddress(port: $0.srcPort, words: $0.srcAddr, isSix: $0.family == 10)?.description
        }
        #expect(places == ["5.6.7.8:90", "1.2.3.4:80", "[0:0:0:0:0:ffff:506:708]:90"])
    }
}
