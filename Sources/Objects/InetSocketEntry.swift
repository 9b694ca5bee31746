internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

// What the messages of all sockets of IP begin with, whatever their protocol.

extension Descriptions {
    /// A message that says what kind of socket it is and how it is open, and nothing of its options yet.
    ///
    /// - Throws: `object-unreadable`.
    func inetEntry(_ seen: SeenDescriptor, through descriptor: Int32) throws(Problem) -> InetSkEntry {
        var socket = try InetSkEntry(seen, through: descriptor)
        socket.id = nextID()
        return socket
    }

    func add(_ socket: InetSkEntry) -> DescriptionKey {
        var entry = FileEntry()
        entry.type = .inetsk
        entry.id = socket.id
        entry.isk = socket
        add(entry)
        return DescriptionKey(.inetsk, socket.id)
    }
}

extension InetSkEntry {
    /// What kind of socket it is and how it is open, without an id.
    init(_ seen: SeenDescriptor, through descriptor: Int32) throws(Problem) {
        self.init()
        guard let identity = seen.socket else { throw seen.unreadable(.badFileDescriptor, "getsockopt") }
        ino = UInt32(truncatingIfNeeded: seen.status.inode)
        family = UInt32(bitPattern: identity.domain)
        type = UInt32(bitPattern: identity.type)
        proto = UInt32(bitPattern: identity.protocolNumber)
        flags = seen.descriptionFlags
        do throws(Errno) { fown = try FileOwner.capture(descriptor) } catch {
            throw seen.unreadable(error, "fcntl(F_GETOWN_EX)")
        }
        nsID = 2
    }

    /// Both ends.
    mutating func take(own: InetAddress, peer: InetAddress?) {
        let other = peer ?? InetAddress(isSix: own.isSix)
        srcPort = UInt32(own.port)
        dstPort = UInt32(other.port)
        srcAddr = own.words
        dstAddr = other.words
    }
}

extension Sockets {
    /// What a dump cannot keep of a socket whose packets would reach others if they were delivered anew, in words.
    static func packetsLost(of seen: SeenDescriptor, _ name: String) -> String? {
        guard let copy = try? SocketIdentity.open(seen.number, of: seen.pid), (try? isReadable(copy.raw)) == true else {
            return nil
        }
        return "packets wait in the \(name) of descriptor \(seen.number), and are lost"
    }
}
