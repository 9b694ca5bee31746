internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// What is peculiar to UDP and UDP-Lite among the sockets of the internet (udp(7), udplite(7)): they have queues.
public enum DatagramSocket {
    private static let cork: Int32 = 1

    private static func recognises(_ seen: SeenDescriptor) -> Bool {
        InetSocket.recognises(seen) && seen.socket?.type == Sockets.datagram
    }

    /// Data that is held back until there is more (UDP_CORK) can be read in the kernel's memory alone.
    static func obstacle(to seen: SeenDescriptor) -> Problem? {
        guard recognises(seen), let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            let count = try? Sockets.unreceived(copy.raw), count > 0
        else { return nil }
        do throws(Errno) {
            _ = try unfinished(at: copy.raw)
            return nil
        } catch {
            // Without the option it is most likely on its way; what is put together by MSG_MORE alone shows in that memory only.
            guard (try? Sockets.number(of: copy.raw, cork, level: seen.socket?.protocolNumber ?? 0)) == 1 else {
                return nil
            }
            return Problem(
                .underWay, "a datagram is being put together in the socket (UDP_CORK), where it cannot be read",
                object: seen.object, cause: .init(error, attempted: "read the kernel's memory (BPF)"),
                remedy: "Dump again when the process has sent it")
        }
    }

    /// What a socket holds back of a datagram, and to whom that will go; nil where it holds nothing back.
    static func unfinished(at socket: Int32) throws(Errno) -> KernelMessages.Unfinished? {
        guard try Sockets.unreceived(socket) > 0 else { return nil }
        return try KernelMemory.use { (kernel) throws(Errno) in
            try KernelMessages(kernel).unfinished(at: kernel.socket(socket))
        }
    }

    /// What a dump cannot keep of it, in words.
    public static func loss(of seen: SeenDescriptor) -> String? {
        guard recognises(seen), let copy = try? SocketIdentity.open(seen.number, of: seen.pid), hasError(copy.raw)
        else {
            return nil
        }
        return
            "an error waits in the UDP socket of descriptor \(seen.number) (SO_ERROR, IP_RECVERR): it and the datagrams"
            + " that wait are lost, as to look at them would take it away"
    }

    static func hasError(_ socket: Int32) -> Bool {
        var entries = [Files.PollEntry(socket, [])]
        _ = try? Files.poll(&entries, timeout: 0)
        return entries[0].returned.contains(.error)
    }
}

extension Descriptions {
    /// Has what is queued in a socket read with all other queues.
    func awaitDatagrams(_ seen: SeenDescriptor, _ id: UInt32, _ socket: Int32, _ supplement: SocketSupplement) {
        guard !DatagramSocket.hasError(socket), (try? Sockets.isReadable(socket)) == true else { return }
        sockets.supplements[id] = supplement
        sockets.unread.append((seen, id))
    }
}
