public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// The two ends of a pipe that is being restored; each stands for one description until it is taken.
final class PipeEnds {
    private var ends: Files.Pair
    private var taken: Set<Bool> = []

    init(_ content: CheckpointImages.PipeContent?, _ packets: PipePackets) throws(Problem) {
        do throws(Errno) {
            ends = try Files.pipe()
            if let capacity = content?.capacity, capacity > 0 {
                _ = try Files.setPipeCapacity(ends.second.raw, Int(capacity))
            }
            if let bytes = content?.bytes, !bytes.isEmpty {
                // More than the pipe holds would block for ever.
                try Files.setStatusFlags(ends.second.raw, .nonBlocking)
                try packets.write(bytes, to: ends.second.raw)
                try Files.setStatusFlags(ends.second.raw, [])
            }
        } catch {
            throw Problem(
                .fileUnopenable, "a pipe cannot be made and filled", cause: .init(error, attempted: "pipe2 and write"),
                remedy: "Raise fs.pipe-max-size and fs.pipe-user-pages-soft (sysctl) to what they were at the dump")
        }
    }

    /// A description of one end: the pipe's own for the first that asks, a new one for each further.
    func description(writing: Bool, flags: OpenFlags) throws(Errno) -> OwnedDescriptor {
        let raw = writing ? ends.second.raw : ends.first.raw
        let descriptor: OwnedDescriptor
        if taken.insert(writing).inserted {
            descriptor = try Files.duplicate(raw)
        } else {
            let way: OpenFlags = flags.contains(.readWrite) ? .readWrite : writing ? .writeOnly : .readOnly
            descriptor = try Files.open(FilePath("/proc/self/fd/\(raw)"), way.union(.nonBlocking))
        }
        try Files.setStatusFlags(descriptor.raw, flags.subtracting([.writeOnly, .readWrite]))
        return descriptor
    }
}

/// A description of one end of an unnamed pipe.
public struct PipeEnd: Resource {
    let entry: PipeEntry
    let content: CheckpointImages.PipeContent?
    /// The dump left it outside.
    let isOutside: Bool
    private let packets: PipePackets

    /// - Throws: `image-unsuitable` where the packets are not those of the content.
    public init(_ entry: PipeEntry, in images: CheckpointImages) throws(Problem) {
        self.entry = entry
        content = images.pipes[entry.pipeID]
        packets = try PipePackets(of: entry.pipeID, in: images)
        isOutside = images.supplement[.external, Pipe.key(UInt64(entry.pipeID))] != nil
    }

    private var flags: OpenFlags { OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags)) }
    private var key: String { Pipe.key(UInt64(entry.pipeID)) }
    public var keys: [String] { [key] }
    public var pipe: UInt32? { entry.pipeID }
    public var extraDescriptors: Int { 0 }
    /// What has to be in it again: a writing end alone leaves what it wrote with whoever reads it.
    private var queued: CheckpointImages.PipeContent? { flags.canRead ? content : nil }
    private var isWriting: Bool { !flags.intersection([.writeOnly, .readWrite]).isEmpty }

    public var description: String {
        "\(isWriting ? "writing" : "reading") end of pipe \(entry.pipeID)"
            + (content.map { $0.bytes.isEmpty ? "" : " with \($0.bytes.count) bytes queued" } ?? "")
    }

    public func obstacles(at site: RestoreSite) -> [Problem] {
        guard let descriptor = site.inherited[key] else {
            return isOutside ? [LeftOutside.missing("the pipe", key)] : []
        }
        let isFilled = queued.map { !$0.bytes.isEmpty } ?? false
        let problem = LeftOutside.problem(with: descriptor, for: key, kinds: isFilled ? [.fifo] : [], flags: flags)
        return problem.map { [$0] } ?? []
    }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if let descriptor = site.inherited[key] {
            return try site.givenPipes.description(of: descriptor, for: key, flags: flags, content: queued)
        }
        let ends: PipeEnds
        if let known = site.pipes[entry.pipeID] {
            ends = known
        } else {
            ends = try PipeEnds(content, packets)
            site.pipes[entry.pipeID] = ends
        }
        do throws(Errno) {
            return try ends.description(writing: isWriting, flags: flags)
        } catch {
            throw Problem(
                .fileUnopenable, "pipe \(entry.pipeID) cannot be opened", cause: .init(error, attempted: "open"),
                remedy: "See that /proc is mounted where Apus runs")
        }
    }
}
