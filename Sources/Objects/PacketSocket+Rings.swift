public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage

/// The rings of a packet socket, and the mappings of them.
extension PacketSocket {
    /// - Throws: what the kernel says of the socket.
    static func obstacle(toRingsOf socket: Int32, _ seen: SeenDescriptor) throws(Errno) -> Problem? {
        guard let layout = try layout(of: socket, inode: seen.status.inode) else { return nil }
        let memory = try MappedRegion(of: socket, count: layout.memory, writable: false)
        guard layout.hasSent(memory) else { return nil }
        return Problem(
            .unsupported, "how far the kernel has got with its ring for sending (PACKET_TX_RING) cannot be seen",
            object: seen.object, remedy: "Have the program close the socket before the dump, or send without a ring")
    }

    private static func layout(of socket: Int32, inode: UInt64) throws(Errno) -> PacketRingLayout? {
        guard let report = try PacketSocketReport.all()[UInt32(truncatingIfNeeded: inode)] else { throw .badMessage }
        var entry = PacketSockEntry()
        let version: Int32 = 10
        entry.version = UInt32(bitPattern: try Sockets.number(of: socket, version, level: level))
        if let ring = report.receiving { entry.rxRing = PacketRing(ring) }
        if let ring = report.sending { entry.txRing = PacketRing(ring) }
        return PacketRingLayout(entry)
    }

    /// Records how far its ring for receiving has got, and what waits in it.
    static func captureRing(
        of entry: PacketSockEntry, _ socket: Int32, _ seen: SeenDescriptor, into descriptions: Descriptions
    ) throws(Problem) {
        guard entry.hasRxRing, let layout = PacketRingLayout(entry) else { return }
        do throws(Errno) {
            let memory = try MappedRegion(of: socket, count: layout.memory, writable: false)
            let state = PacketRingState(memory, layout)
            descriptions.supplement[.ring, entry.id] = state.json
            if state.lost > 0 {
                descriptions.note(
                    loss:
                        "process \(seen.pid): \(state.lost) \(layout.hasBlocks ? "blocks of packets wait" : "packets wait") in the ring of descriptor \(seen.number), and are lost"
                )
            }
        } catch {
            throw descriptions.unreadable(seen, error, "mmap of the ring of a packet socket")
        }
    }

    // MARK: Mappings

    private static func holder(
        of area: MappedArea, _ pid: Int32, among descriptors: [Int32: [SeenDescriptor]]
    ) -> SeenDescriptor? {
        let all = (descriptors[pid] ?? []) + descriptors.sorted { $0.key < $1.key }.flatMap(\.value)
        return all.first { recognises($0) && $0.status.inode == area.inode }
    }

    /// Why mapped memory of a socket cannot be carried.
    ///
    /// - Parameter descriptors: of the tree, by process.
    public static func obstacle(
        toMapping area: MappedArea, of pid: Int32, process: String, among descriptors: [Int32: [SeenDescriptor]]
    ) -> Problem? {
        let object = Problem.Object(pid: pid, process: process, address: area.range.lowerBound)
        guard let holder = holder(of: area, pid, among: descriptors) else {
            return Problem(
                .unsupported,
                "mapped memory of a socket that is no packet socket, or whose descriptor is closed, cannot be carried",
                object: object, remedy: "Have the program unmap it before the dump")
        }
        do throws(Errno) {
            let copy = try SocketIdentity.open(holder.number, of: holder.pid)
            guard let layout = try layout(of: copy.raw, inode: area.inode), area.offset == 0,
                area.size == UInt64(layout.memory)
            else {
                return Problem(
                    .unsupported, "a part of the rings of a packet socket cannot be mapped again", object: object,
                    remedy: "Have the program map the rings as a whole")
            }
            return nil
        } catch {
            return Problem(
                .objectUnreadable, "the state of the packet socket cannot be read", object: object,
                cause: .init(error, attempted: "a question to NETLINK_SOCK_DIAG"),
                remedy: "The kernel needs CONFIG_PACKET_DIAG (modprobe packet_diag)")
        }
    }

    /// The id of the socket whose rings a process has mapped.
    public static func capture(
        mapping area: MappedArea, of pid: Int32, process: String, into descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        let all = descriptions.circumstances.descriptors
        if let problem = obstacle(toMapping: area, of: pid, process: process, among: all) { throw problem }
        guard let holder = holder(of: area, pid, among: all) else { return 0 }
        return try descriptions.capture(holder).id
    }
}
