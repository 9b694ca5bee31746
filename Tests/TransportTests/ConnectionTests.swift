import Diagnostics
import Glibc
import Linux
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import Transport

private func started(_ body: @escaping @Sendable () -> Void) throws -> HelperThread {
    guard let thread = HelperThread(body) else { throw Errno.resourceTemporarilyUnavailable }
    return thread
}

/// Both sides as they are used, over a socket of this host.
@Suite("Connections by TLS", .serialized) struct ConnectionTests {
    /// Two hosts that know each other.
    private final class Hosts {
        let folder: FilePath
        let here: HostKeys
        let there: HostKeys
        private(set) var outbound: Outbound
        private let listening: OwnedDescriptor
        let port: UInt16

        init() throws {
            Processes.ignoreBrokenPipes()
            var template = Array("/tmp/apus-connection.XXXXXX\0".utf8CString)
            try #require(unsafe mkdtemp(&template) != nil)
            folder = FilePath(
                String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            here = HostKeys(in: folder.appending("here"))
            there = HostKeys(in: folder.appending("there"))
            listening = try Sockets.make(Sockets.inet, Sockets.stream)
            try Sockets.bind(listening.raw, try #require(InternetAddress("127.0.0.1", port: 0)).raw)
            try Sockets.listen(listening.raw, backlog: 5)
            port = try #require(InternetAddress(raw: try Sockets.name(of: listening.raw))).port
            outbound = Outbound(.tls, to: "127.0.0.1:\(port)", state: folder.appending("here"))
            let (mine, theirs) = (try here.credentialsMadeIfNeeded(), try there.credentialsMadeIfNeeded())
            try here.addReceiver(theirs.fingerprint, host: "127.0.0.1")
            try there.addSender(mine.fingerprint, name: "here")
        }

        deinit { _ = unsafe system("rm -rf '\(folder.string)'") }

        /// What the other side made of one connection.
        struct Served: Sendable {
            var status: Int32?
            var problem: Problem?
        }

        /// Serves one connection while `body` runs.
        func serving<Result>(_ body: () throws -> Result) throws -> (Result, Served) {
            let outcome = Mutex(Served())
            let (listening, state) = (listening.raw, folder.appending("there"))
            // What is told to a listener goes nowhere here; the numbers are closed by whoever uses them.
            let thread = try started {
                do {
                    let accepted = try Sockets.accept(listening)
                    let bell = try Files.open("/dev/null", .readWrite)
                    var reception = Reception(
                        receiver: ["cat"], greeting: Array("welcome".utf8), state: state,
                        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
                    (reception.connection, reception.doorbell) = (accepted.raw, bell.raw)
                    let status = try reception.serve()
                    outcome.withLock { $0.status = status }
                } catch {
                    outcome.withLock { $0.problem = error as? Problem }
                }
            }
            let result = Swift.Result { try body() }
            if case .failure = result {
                // Whoever waits for a connection gets one.
                if let socket = try? Sockets.make(Sockets.inet, Sockets.stream) {
                    try? Sockets.connect(socket.raw, InternetAddress("127.0.0.1", port: port)?.raw ?? [])
                }
            }
            thread.join()
            return (try result.get(), outcome.withLock { $0 })
        }

        /// Says something and hears the echo.
        func talk(_ words: [UInt8]) throws -> (problem: Problem?, heard: [UInt8]) {
            // Numbers without an owner: two threads have their ends.
            let forth = try Files.pipe()
            let back = try Files.pipe()
            let (input, writing) = (forth.first.release(), forth.second.release())
            let (reading, output) = (back.first.release(), back.second.release())
            let outbound = outbound
            let problem = Mutex<Problem?>(nil)
            let heard = Mutex<[UInt8]>([])
            let relay = try started {
                do throws(Problem) { try outbound.relay(input: input, output: output) } catch {
                    problem.withLock { $0 = error }
                }
                try? Files.close(input)
                try? Files.close(output)
            }
            let listening = try started {
                let bytes = (try? Files.readAll(reading)) ?? []
                heard.withLock { $0 = bytes }
            }
            try? Files.write(writing, words)
            // The echo of all that has been said, and then the end.
            for _ in 0..<1000 {
                if problem.withLock({ $0 != nil }) { break }
                if try Files.readableBytes(writing) == 0 { break }
                usleep(10_000)
            }
            usleep(300_000)
            try Files.close(writing)
            relay.join()
            listening.join()
            try Files.close(reading)
            return (problem.withLock { $0 }, heard.withLock { $0 })
        }
    }

    private static let words = (0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    @Test func whatIsSaidComesBack() throws {
        let hosts = try Hosts()
        let ((problem, heard), served) = try hosts.serving { try hosts.talk(Self.words) }
        #expect(problem == nil && served.problem == nil)
        #expect(heard.starts(with: Array("welcome".utf8)))
        #expect(Array(heard.dropFirst(7)) == Array(Self.words.prefix(heard.count - 7)))
        #expect(heard.count > Self.words.count / 2)
    }

    @Test func aHostThatIsNotPaired() throws {
        let hosts = try Hosts()
        try hosts.here.write(try Credentials(name: "new", validity: Validity.now - 100...Validity.now + 100))
        let ((problem, heard), served) = try hosts.serving { try hosts.talk([1]) }
        #expect(problem?.code == .notPaired && heard == [])
        #expect(served.problem?.code == .notPaired && served.status == nil, "\(served)")
    }

    /// It is paired, but the time of its certificate is over, or yet to come.
    @Test(arguments: [-200 ... -100, 100...200] as [ClosedRange<Int64>])
    func aClientWhoseTimeIsOver(_ validity: ClosedRange<Int64>) throws {
        let hosts = try Hosts()
        let own = try Credentials(
            name: "here", validity: Validity.now + validity.lowerBound...Validity.now + validity.upperBound)
        try hosts.here.write(own)
        try hosts.there.addSender(own.fingerprint, name: "here")
        let (link, served) = try hosts.serving {
            // Apus would not even try.
            let socket = try Sockets.make(Sockets.inet, Sockets.stream)
            try Sockets.connect(socket.raw, try #require(InternetAddress("127.0.0.1", port: hosts.port)).raw)
            let link = try Link(socket, TLSChannel(.client, own) { _ in nil })
            #expect(throws: (any Error).self) {
                try link.shakeHands(until: SystemClock.monotonic.now + 5_000_000_000, hearsAnswer: true)
            }
            return link
        }
        #expect(link.incoming.count == 0)
        #expect(served.problem?.code == .certificateExpired, "\(served)")
    }

    @Test func aServerWhoseTimeIsOver() throws {
        let hosts = try Hosts()
        let own = try Credentials(name: "there", validity: Validity.now - 200...Validity.now - 100)
        try hosts.there.write(own)
        try hosts.here.addReceiver(own.fingerprint, host: "127.0.0.1")
        let ((problem, heard), served) = try hosts.serving { try hosts.talk([1]) }
        #expect(problem?.code == .certificateExpired && heard == [])
        #expect(served.status == nil)
    }

    @Test func anotherServer() throws {
        let hosts = try Hosts()
        try hosts.there.write(try Credentials(name: "new", validity: Validity.now - 100...Validity.now + 100))
        let ((problem, heard), served) = try hosts.serving { try hosts.talk([1]) }
        #expect(problem?.code == .notPaired && heard == [])
        #expect(served.status == nil)
    }

    @Test func bytesThatAreNoTLS() throws {
        let hosts = try Hosts()
        let (answer, served) = try hosts.serving {
            let socket = try Sockets.make(Sockets.inet, Sockets.stream)
            try Sockets.connect(socket.raw, try #require(InternetAddress("127.0.0.1", port: hosts.port)).raw)
            try Files.write(socket.raw, Array("AP\u{1}\0\u{2}\0\0\0{}".utf8))
            return try Files.readAll(socket.raw)
        }
        // An alert at the most (RFC 8446).
        #expect(answer.isEmpty || answer.first == 21)
        #expect(served.problem?.code == .tlsFailed, "\(served)")
    }

    @Test func pairing() throws {
        let hosts = try Hosts()
        let own = try Credentials(name: "new", validity: Validity.now - 100...Validity.now + 100)
        try hosts.here.write(own)
        let token = try hosts.there.issueToken().token
        let (name, served) = try hosts.serving { try hosts.outbound.pair(token) }
        #expect(name == HostKeys.node && served.status == 0)
        #expect(hosts.there.sender(own.fingerprint) == HostKeys.node)
        let ((problem, heard), _) = try hosts.serving { try hosts.talk([1, 2, 3]) }
        #expect(problem == nil && heard == Array("welcome".utf8) + [1, 2, 3])
        // Who comes second.
        #expect(throws: Problem.self) { _ = try hosts.serving { try hosts.outbound.pair(token) } }
        // The token of another host.
        let other = PairingToken(for: Fingerprint(of: [1]))
        #expect(throws: Problem.self) { _ = try hosts.serving { try hosts.outbound.pair(other) } }
    }

    @Test func nobodyIsThere() throws {
        let hosts = try Hosts()
        let closed = Outbound(.tls, to: "127.0.0.1:1", state: hosts.folder.appending("here"))
        #expect { try closed.relay(input: 0, output: 1) } throws: { ($0 as? Problem)?.code == .unreachable }
        let unknown = Outbound(.tls, to: "localhost", state: hosts.folder.appending("here"))
        #expect { try unknown.relay(input: 0, output: 1) } throws: { ($0 as? Problem)?.code == .notPaired }
        let nonsense = Outbound(.tls, to: "root@localhost", state: hosts.folder.appending("here"))
        #expect { try nonsense.relay(input: 0, output: 1) } throws: { ($0 as? Problem)?.code == .unreachable }
    }
}
