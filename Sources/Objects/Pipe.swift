public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Which ends of a pipe are held.
public struct HeldEnds: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let reading = HeldEnds(rawValue: 1)
    public static let writing = HeldEnds(rawValue: 2)
}

/// A pipe (pipe(7)): two descriptions, one queue.
public enum Pipe: DescriptionKind {
    public static let name = "pipe"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: "pipe:[") }

    /// Which end a descriptor is.
    public static func end(_ seen: SeenDescriptor) -> HeldEnds {
        var ends: HeldEnds = []
        if seen.info.flags.canRead { ends.insert(.reading) }
        if seen.info.flags.canWrite { ends.insert(.writing) }
        return ends
    }

    public static func doubt(about seen: SeenDescriptor) -> String? {
        seen.info.flags.contains(.direct) ? "packets are queued in the pipe (O_DIRECT)" : nil
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? { key(seen.status.inode) }

    static func key(_ inode: UInt64) -> String { "pipe:[\(inode)]" }

    private static func isExternal(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> Bool {
        circumstances.external.contains(key(seen.status.inode))
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        let inode = seen.status.inode
        guard circumstances.pipesLeadingOut.contains(inode) else { return nil }
        if isExternal(seen, circumstances) { return nil }
        let held = circumstances.pipeEnds[inode] ?? []
        let what =
            held == .reading
            ? "the writing end of the pipe" : held == .writing ? "the reading end of the pipe" : "the pipe"
        return Problem(
            .leadsOutside, "\(what) is held by \(circumstances.holder(of: seen))", object: seen.object,
            remedy: "Dump the whole pipeline by naming the process that started it. "
                + LeftOutside.remedy(dump: key(inode)))
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let id = descriptions.nextID()
        let own = try descriptions.open(seen)
        var pipe = PipeEntry()
        pipe.id = id
        pipe.pipeID = UInt32(truncatingIfNeeded: seen.status.inode)
        pipe.flags = seen.descriptionFlags
        pipe.fown = try descriptions.owner(of: seen, through: own.raw)
        var entry = FileEntry()
        entry.type = .pipe
        entry.id = id
        entry.pipe = pipe
        descriptions.add(entry)
        if isExternal(seen, descriptions.circumstances) { descriptions.leaveOutside(key(seen.status.inode)) }
        if seen.info.flags.canRead && descriptions.seenPipes.insert(seen.status.inode).inserted {
            descriptions.pipeContents.append(try content(of: seen, own.raw, descriptions))
        }
        return DescriptionKey(.pipe, id)
    }

    /// Copies what is queued, and takes nothing away: tee(2) into a pipe of Apus.
    static func content(
        of seen: SeenDescriptor, _ descriptor: Int32, _ descriptions: Descriptions
    ) throws(Problem) -> (entry: PipeDataEntry, payload: [UInt8]) {
        do throws(Errno) {
            let capacity = try Files.pipeCapacity(descriptor)
            let queued = try Files.readableBytes(descriptor)
            var bytes: [UInt8] = []
            if queued > 0 && descriptions.packetPipes.contains(seen.status.inode) {
                let packets = try PipePackets.queued(in: descriptor, capacity: capacity, count: queued)
                bytes = packets.bytes
                if !packets.lengths.isEmpty {
                    descriptions.supplement[.pipe, UInt32(truncatingIfNeeded: seen.status.inode)] = [
                        "packets": .array(packets.lengths.map { .unsigned(UInt64($0)) })
                    ]
                }
            } else if queued > 0 {
                let copy = try Files.pipe(.nonBlocking)
                try Files.setPipeCapacity(copy.second.raw, capacity)
                let count = try Files.tee(from: descriptor, to: copy.second.raw, count: queued)
                bytes = try Files.read(copy.first.raw, count: count)
                // A frozen tree adds nothing, but a writer outside of it may have.
                if bytes.count < queued { throw .ioError }
            }
            var entry = PipeDataEntry()
            entry.pipeID = UInt32(truncatingIfNeeded: seen.status.inode)
            entry.bytes = UInt32(bytes.count)
            entry.size = UInt32(capacity)
            return (entry, bytes)
        } catch {
            if error == .notSupported {
                throw Problem(
                    .unsupported, "packets are queued in the pipe (O_DIRECT) together with what is none",
                    object: seen.object, remedy: "Let their reader take them before the dump")
            }
            throw descriptions.unreadable(seen, error, "tee")
        }
    }

    /// Whether somebody holds the end that a descriptor is not: asked where the tree holds one end alone.
    public static func isConnected(_ seen: SeenDescriptor) throws(Problem) -> Bool {
        do throws(Errno) {
            let process = try Processes.open(thread: seen.pid)
            let own = try Processes.descriptor(seen.number, of: process.raw)
            var entries = [Files.PollEntry(own.raw, [])]
            _ = try Files.poll(&entries, timeout: 0)
            // POLLHUP: no writer is left; POLLERR: no reader is (poll(2)).
            return entries[0].returned.isDisjoint(with: [.hangUp, .error])
        } catch {
            throw Problem(
                .objectUnreadable, "it cannot be told who holds the other end of the pipe", object: seen.object,
                cause: .init(error, attempted: "pidfd_getfd, poll"),
                remedy: "The kernel must be 5.6 or later, and Apus needs CAP_SYS_PTRACE over the process")
        }
    }
}

/// A named pipe (fifo(7)): a description of its own, and the name as that of a file beside it.
public enum NamedPipe: DescriptionKind {
    public static let name = "named pipe"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.status.kind == .fifo && seen.hasPath && !seen.info.flags.contains(.path)
    }

    public static func externalKey(of seen: SeenDescriptor) -> String? { RegularFile.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if RegularFile.externalName(seen, circumstances) != nil { return nil }
        if let obstacle = RegularFile.obstacle(to: seen, circumstances) { return obstacle }
        guard circumstances.namedPipesLeadingOut.contains(seen.link) else { return nil }
        let key = externalKey(of: seen).map { ". " + LeftOutside.remedy(dump: $0) } ?? ""
        return Problem(
            .leadsOutside, "the named pipe is also held by \(circumstances.holder(of: seen))", object: seen.object,
            remedy: "Dump the tree that has both ends\(key)")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        let id = descriptions.nextID()
        let own = try descriptions.open(seen)
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        file.pos = 0
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        if let external = RegularFile.externalName(seen, descriptions.circumstances) {
            file.ext = true
            file.path = FilePath(external)
        } else {
            try RegularFile.recordLostName(of: seen, as: &file, into: descriptions)
        }
        RegularFile.add(file, to: descriptions)
        var fifo = FifoEntry()
        fifo.id = id
        fifo.pipeID = UInt32(truncatingIfNeeded: seen.status.inode)
        fifo.regfID = file.id
        var entry = FileEntry()
        entry.type = .fifo
        entry.id = id
        entry.fifo = fifo
        descriptions.add(entry)
        if seen.info.flags.canRead && descriptions.seenPipes.insert(seen.status.inode).inserted {
            descriptions.fifoContents.append(try Pipe.content(of: seen, own.raw, descriptions))
        }
        return DescriptionKey(.fifo, id)
    }
}
