public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A netlink socket (netlink(7)) in which nothing waits: programs keep them to ask the kernel about the network.
public enum NetlinkSocket: DescriptionKind {
    public static let name = "netlink socket"
    static let level: Int32 = 270
    static let memberships: Int32 = 9

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.socket?.domain == Sockets.netlink }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let problem = circumstances.sockets.outside(seen) { return problem }
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid),
            (try? Sockets.isReadable(copy.raw)) == true
        else { return nil }
        return Problem(
            .underWay, "answers of the kernel wait in the netlink socket", object: seen.object,
            remedy: "Dump again when the process has read them")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let own = try descriptions.open(seen)
        var socket = NetlinkSkEntry()
        socket.id = descriptions.nextID()
        socket.ino = UInt32(truncatingIfNeeded: seen.status.inode)
        socket.protocol = UInt32(bitPattern: seen.socket?.protocolNumber ?? 0)
        socket.flags = seen.descriptionFlags
        socket.fown = try descriptions.owner(of: seen, through: own.raw)
        socket.nsID = 2
        do throws(Errno) {
            socket.opts = try SocketOptions.capture(own.raw, isUnix: false)
            // struct sockaddr_nl: family, padding, port, groups; words of 32 bits from 4 on.
            let name = try Sockets.name(of: own.raw)
            socket.portid = word(name, 4)
            let groups = try Sockets.bytes(of: own.raw, memberships, level: level, atMost: 256)
            socket.groups = stride(from: 0, to: groups.count - 3, by: 4).map { word(groups, $0) }
            while socket.groups.last == 0 { socket.groups.removeLast() }
            let peer = try? Sockets.peerName(of: own.raw)
            socket.dstPortid = peer.map { word($0, 4) } ?? 0
            socket.dstGroup = peer.map { word($0, 8) } ?? 0
            // The states of netlink are their own: 0 unconnected, 1 connected.
            socket.state = socket.dstPortid != 0 || socket.dstGroup != 0 ? 1 : 0
        } catch {
            throw descriptions.unreadable(seen, error, "getsockopt, getsockname")
        }
        _ = try descriptions.supplement(seen, socket.id, through: own.raw)
        var entry = FileEntry()
        entry.type = .netlinksk
        entry.id = socket.id
        entry.nlsk = socket
        descriptions.add(entry)
        return DescriptionKey(.netlinksk, socket.id)
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(offset + $1 < bytes.count ? bytes[offset + $1] : 0) << UInt32(8 * $1) }
    }
}
