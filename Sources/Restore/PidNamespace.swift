internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Linux
internal import SystemPackage
internal import Tracing

/// A pid namespace of its own for a restored tree (`--pid-policy new-namespace`), where all its pids are free.
///
/// Apus becomes two. The one *inside* is the init of the new namespace, pid 1: it restores the tree as its children,
/// and stays as long as any process of the namespace lives: it waits for orphans, passes signals on to the root, and
/// ends with the root's status. The one *outside* waits for the root in its place, or leaves. Between the two is a
/// socket. Until the tree is released the one inside dies with the one outside, and with it all in the namespace.
///
/// /proc inside is that of the namespace, in a copy of the mounts: whoever reads its own pid there finds itself.
struct PidNamespace: Sendable {
    /// The socket's end of the one inside.
    private let link: Int32

    init(link: Int32) { self.link = link }

    /// What is said over the socket, with a number.
    private enum Message: Int32 {
        /// Inside asks for the root's pid outside, which is answered by the same.
        case outerPid
        /// The tree runs.
        case released
        /// The root has ended; the word of wait4(2).
        case ended
    }

    /// Where a process finds itself.
    enum Side {
        case inside(PidNamespace)
        /// The status that the tool is to end with.
        case outside(Int32)
    }

    /// Makes the namespace, and returns on both sides; outside only when there is nothing left to do.
    static func enter(_ options: RestoreOptions) throws(Problem) -> Side {
        let (pid, outside, inside): (Int32, Int32, Int32)
        do throws(Errno) {
            (outside, inside) = try makeLink()
            try Processes.unshare(.pidsOfChildren)
            pid = try Processes.fork()
            if pid == 0 {
                try Processes.setDeathSignal(SIGKILL)
                try Processes.mountOwnProc()
            }
        } catch {
            throw refusal(error, "unshare(CLONE_NEWPID), fork, mount of /proc")
        }
        if pid == 0 {
            try? Files.close(outside)
            return .inside(PidNamespace(link: inside))
        }
        try? Files.close(inside)
        if let descriptor = options.statusDescriptor { try? Files.close(descriptor) }
        return .outside(try watch(pid, outside, detached: options.detached))
    }

    static func refusal(_ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .restoreFailed, "the pid namespace for the tree cannot be made", cause: .init(error, attempted: attempted),
            remedy: "Run Apus as root; in a container it needs CAP_SYS_ADMIN and a kernel that allows pid namespaces")
    }

    static func makeLink() throws(Errno) -> (outside: Int32, inside: Int32) {
        let pair = try Files.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let outside = try Files.duplicate(pair.first.raw, from: 3).release()
        return (outside, try Files.duplicate(pair.second.raw, from: 3).release())
    }

    // MARK: Outside

    /// Waits for the one inside.
    ///
    /// - Parameter detached: until the tree runs, and not until its root has ended.
    static func watch(_ child: Int32, _ link: Int32, detached: Bool) throws(Problem) -> Int32 {
        defer { try? Files.close(link) }
        while true {
            // Before the tree runs the one inside takes back what it has made, and says so. From then on it stands for the root, and
            // passes signals on to that.
            if let signal = Cancellation.take() { try? Processes.kill(child, signal: signal) }
            var entries = [Files.PollEntry(link, .readable)]
            let ready = (try? Files.poll(&entries, timeout: 1_000_000_000)) ?? 0
            if ready == 0 { continue }
            guard let (message, number) = receive(link) else { break }
            switch message {
            case .outerPid: send(.outerPid, pid(number, below: child) ?? 0, over: link)
            case .released where detached: return 0
            case .released: break
            case .ended:
                guard let status = WaitStatus(word: number) else { return 1 }
                switch status {
                case .exited(let code): return code
                case .killed(let signal, dumpedCore: _): return Job.end(by: signal)
                case .stopped, .continued: return 1
                }
            }
        }
        // It has told what went wrong itself.
        guard let ended = try? Processes.wait(for: child), case .exited(let code) = ended.status else {
            throw Problem(
                .restoreFailed, "the init of the new pid namespace was killed, and all in it with it",
                object: .init(pid: child), remedy: "Look in the kernel log whether memory ran out")
        }
        return code
    }

    /// The pid outside of a child of the namespace's init.
    private static func pid(_ inner: Int32, below initial: Int32) -> Int32? {
        let children = (try? Procfs.live.children(of: initial)) ?? []
        return children.first { child in
            (try? ProcessDirectory(child).status())?.namespacePids.last == inner
        }
    }

    // MARK: Inside

    /// The pid that the root has outside of the namespace.
    func outerPid(of root: Int32) throws(Problem) -> Int32 {
        Self.send(.outerPid, root, over: link)
        guard let (message, pid) = Self.receive(link), message == .outerPid, pid > 0 else {
            throw Problem(
                .restoreFailed, "the pid of the root outside of the new namespace cannot be found out",
                object: .init(pid: root), remedy: "Mount /proc where Apus runs")
        }
        return pid
    }

    /// Is the init of the namespace, until the last process in it has ended.
    func serve(root: Int32) -> Never {
        try? Processes.setDeathSignal(0)
        Self.send(.released, 0, over: link)
        letGo()
        let passed = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in passed + [SIGCHLD] { unsafe sigaddset(&set, signal) }
        unsafe sigprocmask(SIG_BLOCK, &set, nil)
        var code: Int32 = 0
        // To which signals are passed on: the root, and where that has ended all that are left.
        var target = root
        while true {
            do throws(Errno) {
                while let ended = try Processes.wait(for: -1, [.noHang, .all]) {
                    guard ended.pid == root else { continue }
                    target = -1
                    Self.send(.ended, ended.status.word, over: link)
                    code = (ended.status.word & 0x7f) == 0 ? ended.status.word >> 8 : 128 + ended.status.word & 0x7f
                }
            } catch {
                // ECHILD: nobody is left, but who has been let in (setns(2)) is no child.
                Processes.awaitOthersOfThisProgram()
                while true { _ = apus_syscall(Int(SYS_exit_group), UInt(signed: code), 0, 0, 0, 0, 0) }
            }
            let signal = unsafe sigwaitinfo(&set, nil)
            if passed.contains(signal) { try? Processes.kill(target, signal: signal) }
        }
    }

    /// Closes all that the caller has given: its pipes must not be kept open, nor its terminal.
    private func letGo() {
        if let null = try? Files.open("/dev/null", .readWrite) {
            for number in 0...2 as ClosedRange<Int32> {
                try? Files.duplicate(null.raw, as: number, closeOnExec: false)
            }
        }
        let last: UInt = 0xffff_ffff
        if link > 3 { _ = try? call(Int(SYS_close_range), 3, UInt(signed: link - 1), 0) }
        _ = try? call(Int(SYS_close_range), UInt(signed: link + 1), last, 0)
    }

    // MARK: Messages

    private static func send(_ message: Message, _ number: Int32, over link: Int32) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: message.rawValue)
        bytes.append(littleEndian: number)
        let noSignal: UInt = 0x4000  // MSG_NOSIGNAL: whoever was to hear it may have gone.
        _ = unsafe bytes.withUnsafeBytes {
            apus_syscall(Int(SYS_sendto), UInt(signed: link), UInt(bitPattern: $0.baseAddress), 8, noSignal, 0, 0)
        }
    }

    /// - Returns: nil where nobody is on the other side any more.
    private static func receive(_ link: Int32) -> (Message, Int32)? {
        while true {
            do throws(Errno) {
                let bytes = try Files.readSome(link, atMost: 8)
                guard bytes.count == 8, let message = Message(rawValue: bytes.littleEndian(Int32.self, at: 0)) else {
                    return nil
                }
                return (message, bytes.littleEndian(Int32.self, at: 4))
            } catch {
                if error != .interrupted { return nil }
            }
        }
    }
}
