public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of a named pipe (fifo(7)).
public struct NamedPipeEnd: Resource {
    let pipe: UInt32
    let file: RegFileEntry
    let content: CheckpointImages.PipeContent?
    /// The packets that are queued, their lengths in bytes.
    let packets: PipePackets
    /// What makes the pipe anew where it has lost its name.
    private let ghost: UnnamedFile?

    /// - Parameter file: the message that has the name and the flags.
    public init(_ entry: FifoEntry, _ file: RegFileEntry, in images: CheckpointImages) throws(Problem) {
        pipe = entry.pipeID
        self.file = file
        content = images.pipes[entry.pipeID]
        packets = try PipePackets(of: entry.pipeID, in: images)
        ghost = UnnamedFile.find(.init(.reg, entry.regfID), in: images, mappedAs: nil)
    }

    private var flags: OpenFlags {
        OpenFlags(rawValue: Int32(truncatingIfNeeded: file.flags)).subtracting([.create, .exclusive, .truncate])
    }

    /// Packet mode is set afterwards: open(2) takes O_DIRECT for another thing.
    private var openFlags: OpenFlags {
        flags.union(.nonBlocking).subtracting(ghost == nil ? .direct : [.direct, .noFollow])
    }

    public var description: String {
        "named pipe \(file.path)"
            + (content.map { $0.bytes.isEmpty ? "" : " with \($0.bytes.count) bytes queued" } ?? "")
    }

    /// As for a file: its path from the root on, or the key under which the dump left it outside.
    private var key: String { String(file.path.string.drop { $0 == "/" }) }
    public var keys: [String] { [key] }
    private var queued: CheckpointImages.PipeContent? { flags.canRead && !flags.contains(.path) ? content : nil }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        if let descriptor = site.inherited[key] {
            let problem = LeftOutside.problem(with: descriptor, for: key, kinds: [.fifo], flags: flags)
            return problem.map { [$0] } ?? []
        }
        if file.ext { return [LeftOutside.missing("the named pipe", key)] }
        if let ghost { return ghost.obstacles(at: site) }
        do throws(Errno) {
            if try Files.status(of: file.path).kind == .fifo { return [] }
            return [
                Problem(
                    .fileChanged, "the named pipe is something else now", object: .init(path: file.path.string),
                    remedy: "Put it back: mkfifo '\(file.path)'")
            ]
        } catch {
            return [
                Problem(
                    .fileMissing, "the named pipe is not there", object: .init(path: file.path.string),
                    cause: .init(error, attempted: "stat(\"\(file.path)\")"),
                    remedy: "Make it again: mkfifo '\(file.path)'")
            ]
        }
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let descriptor = site.inherited[key] {
            return try site.givenPipes.description(of: descriptor, for: key, flags: flags, content: queued)
        }
        let place = try ghost?.place(at: site) ?? file.path
        do throws(Errno) {
            // With both ends held for the moment, nothing that is opened waits for its other end.
            if site.namedPipes[pipe] == nil { site.namedPipes[pipe] = SharedDescriptor(try filled(place)) }
            let descriptor = try Files.open(place, openFlags)
            // A place and not the pipe itself (O_PATH), which CRIU stores as an end of it: such a description has no flags to set.
            if flags.contains(.path) { return descriptor }
            try Files.setStatusFlags(descriptor.raw, flags.subtracting([.writeOnly, .readWrite]))
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "the named pipe cannot be opened and filled", object: .init(path: file.path.string),
                cause: .init(error, attempted: "open(\"\(file.path)\"), write"),
                remedy: "See that nobody else has it open, and that fs.pipe-max-size is what it was at the dump")
        }
    }

    private func filled(_ place: FilePath) throws(Errno) -> OwnedDescriptor {
        let both = try Files.open(place, [.readWrite, .nonBlocking])
        if let capacity = content?.capacity, capacity > 0 { try Files.setPipeCapacity(both.raw, Int(capacity)) }
        if let bytes = content?.bytes, !bytes.isEmpty { try packets.write(bytes, to: both.raw) }
        return both
    }
}
