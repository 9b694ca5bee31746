public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A registration for the notification of a message in a POSIX message queue (mq_notify(3)).
public struct QueueNotification: Sendable, Equatable {
    /// How its process is told.
    public enum Manner: Sendable, Equatable {
        /// SIGEV_SIGNAL; with signal 0 by none.
        case signal(Int32, value: UInt64)
        /// SIGEV_NONE: only that there is a registration shows.
        case silent
        /// SIGEV_THREAD: the kernel sends 32 bytes to a netlink socket, at which the C library waits with a thread.
        case message([UInt8], socket: Int32)
    }

    /// The process that registered, and its descriptor of the queue.
    public let process, descriptor: Int32
    public let manner: Manner

    /// NOTIFY_COOKIE_LEN of linux/mqueue.h.
    static let cookieSize = 32

    init(process: Int32, descriptor: Int32, _ manner: Manner) {
        (self.process, self.descriptor, self.manner) = (process, descriptor, manner)
    }

    // MARK: Supplement

    var json: JSON {
        var members: [JSON.Member] = [
            .init("process", .number(process)), .init("descriptor", .number(descriptor)),
        ]
        switch manner {
        case .signal(let number, let value):
            members += [
                .init("manner", .string("signal")), .init("signal", .number(number)), .init("value", .number(value)),
            ]
        case .silent: members.append(.init("manner", .string("none")))
        case .message(let bytes, let socket):
            members += [
                .init("manner", .string("thread")), .init("socket", .number(socket)),
                .init("cookie", .string(Hexadecimal.text(bytes))),
            ]
        }
        return .object(members)
    }

    /// From what the supplement says of a queue.
    ///
    /// - Returns: nil for what no kernel can have had.
    public init?(_ told: JSON) {
        func number(_ name: String) -> Int32? { told[name]?.bits.flatMap { Int32(exactly: $0) } }
        guard let process = number("process"), let descriptor = number("descriptor"), descriptor >= 0 else {
            return nil
        }
        (self.process, self.descriptor) = (process, descriptor)
        switch told["manner"]?.string {
        case "signal":
            guard let signal = number("signal"), (0...64).contains(signal), let value = told["value"]?.bits else {
                return nil
            }
            manner = .signal(signal, value: value)
        case "none": manner = .silent
        case "thread":
            guard let socket = number("socket"), socket >= 0,
                let bytes = told["cookie"]?.string.flatMap(Hexadecimal.bytes), bytes.count == Self.cookieSize
            else { return nil }
            manner = .message(bytes, socket: socket)
        default: return nil
        }
    }
}

/// What the kernel shows of a registration.
struct QueueRegistration {
    let owner: Int32
    private let manner, signal: Int32

    /// The text of the file: `QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0` (mqueue_read_file of ipc/mqueue.c).
    ///
    /// - Returns: nil where there is none.
    init?(_ seen: SeenDescriptor) {
        guard let text = try? Files.contents(of: PosixQueue.place(of: seen)) else { return nil }
        let words = String(decoding: text, as: UTF8.self).split { " \n\t".contains($0) }
        func number(_ key: String) -> Int32? {
            words.first { $0.hasPrefix(key) }.flatMap { Int32($0.dropFirst(key.count)) }
        }
        guard let owner = number("NOTIFY_PID:"), owner != 0, let manner = number("NOTIFY:"),
            let signal = number("SIGNO:")
        else { return nil }
        (self.owner, self.manner, self.signal) = (owner, manner, signal)
    }

    /// How the process is told, as far as it shows.
    ///
    /// - Parameter descriptors: of the process.
    /// - Throws: `unsupported-object` where it does not show which socket a message goes to.
    func manner(_ seen: SeenDescriptor, _ descriptors: [SeenDescriptor]) throws(Problem) -> QueueNotification.Manner {
        let (none, thread): (Int32, Int32) = (1, 2)  // SIGEV_NONE, SIGEV_THREAD
        if manner == none { return .silent }
        if manner != thread { return .signal(signal, value: 0) }
        let sockets = descriptors.filter { $0.socket?.domain == Sockets.netlink && Self.holdsRoom($0) }
        let others = sockets.dropFirst().contains { other in
            (try? Processes.compare(other.pid, other.pid, .file(sockets[0].number, other.number))) != .same
        }
        guard let socket = sockets.first, !others else {
            throw Problem(
                .unsupported,
                "a thread is to be notified of a message in the queue (mq_notify), by one of \(sockets.count) netlink sockets: which"
                    + " the kernel does not show",
                object: seen.object, remedy: "Have the program take back the registration before the dump")
        }
        return .message([], socket: socket.number)
    }

    /// Whether room in a netlink socket is taken though nothing waits in it: for the messages that the kernel will send.
    private static func holdsRoom(_ seen: SeenDescriptor) -> Bool {
        let (memory, size) = (Int32(55), 36)  // SO_MEMINFO: nine numbers, the first of them of what is received
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let told = try? Sockets.bytes(of: copy.raw, memory, atMost: size), told.count >= 4
        else { return false }
        return told[0..<4].contains { $0 != 0 }
    }
}
