internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Pipes of Apus' caller that stand in for pipes of the tree (`--inherit-fd`), and what was queued in these.
///
/// What the tree had not read yet at the dump comes before all that the new pipe holds, unless it is there already: whoever
/// has kept the old pipe open gives that one, with all that was queued.
struct GivenPipes {
    private struct Filling {
        let pipe: SharedDescriptor
        let key: String
        let bytes: [UInt8]
        let capacity: UInt32
    }

    private var fillings: [Filling] = []
    /// How many bytes were put into each, so that they can be taken out again.
    private var filled: [(pipe: SharedDescriptor, bytes: [UInt8])] = []

    /// A description of the pipe behind a descriptor of the caller, as the program has it open.
    ///
    /// - Parameter content: what has to be in it; nil for a writing end.
    mutating func description(
        of descriptor: Int32, for key: String, flags: OpenFlags, content: CheckpointImages.PipeContent?
    ) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let place = FilePath("/proc/self/fd/\(descriptor)")
            // Anything may stand in for a pipe that carried nothing: it is taken as it is.
            guard try Files.status(of: place).kind == .fifo else { return try Files.duplicate(descriptor) }
            if let content, !content.bytes.isEmpty, !fillings.contains(where: { $0.key == key }) {
                let both = SharedDescriptor(try Files.open(place, [.readWrite, .nonBlocking]))
                fillings.append(.init(pipe: both, key: key, bytes: content.bytes, capacity: content.capacity ?? 0))
            }
            let own = flags.subtracting([.writeOnly, .readWrite])
            let isWriting = flags.canWrite
            // With both ends held for the moment, the opening waits for nobody.
            let both = try Files.open(place, [.readWrite, .nonBlocking])
            let mode: OpenFlags = flags.contains(.readWrite) ? .readWrite : isWriting ? .writeOnly : .readOnly
            let description = try Files.open(FilePath("/proc/self/fd/\(both.raw)"), mode.union(.nonBlocking))
            try Files.setStatusFlags(description.raw, own)
            return description
        } catch {
            throw Problem(
                .inheritedDescriptor, "descriptor \(descriptor) cannot take the place of \(key)",
                object: .init(fd: descriptor, path: key),
                cause: .init(error, attempted: "open(\"/proc/self/fd/\(descriptor)\")"),
                remedy: "Give one end of a pipe that Apus may open, and see that /proc is mounted")
        }
    }

    /// Puts in what was queued: the last that is done before the tree is released.
    mutating func fill() throws(Problem) {
        for filling in fillings {
            do throws(Errno) {
                if try Self.put(filling.bytes, filling.capacity, into: filling.pipe.descriptor.raw) {
                    filled.append((filling.pipe, filling.bytes))
                }
            } catch {
                throw Problem(
                    .inheritedDescriptor,
                    "what was queued in it (\(filling.bytes.count) bytes) does not fit into the pipe"
                        + " that is given in its place", object: .init(path: filling.key),
                    cause: .init(error, attempted: "write"),
                    remedy: "Give an empty pipe, and raise fs.pipe-max-size (sysctl) to what it was at the dump")
            }
        }
        fillings = []
    }

    /// - Returns: false where they are there already.
    private static func put(_ bytes: [UInt8], _ capacity: UInt32, into pipe: Int32) throws(Errno) -> Bool {
        let present = try Files.readableBytes(pipe)
        if present >= bytes.count, try peek(bytes.count, pipe) == bytes { return false }
        // In the worst case each part begins a page of its own.
        let needed = max(Int(capacity), bytes.count + present + 2 * 4096)
        if try Files.pipeCapacity(pipe) < needed { try Files.setPipeCapacity(pipe, needed) }
        let later = present > 0 ? try Files.read(pipe, count: present) : []
        do throws(Errno) {
            try Files.write(pipe, bytes + later)
        } catch {
            // It held these a moment ago.
            _ = try? Files.read(pipe, count: try Files.readableBytes(pipe))
            try Files.write(pipe, later)
            throw error
        }
        return true
    }

    /// A copy of the first bytes that are queued.
    private static func peek(_ count: Int, _ pipe: Int32) throws(Errno) -> [UInt8] {
        let copy = try Files.pipe(.nonBlocking)
        try Files.setPipeCapacity(copy.second.raw, try Files.pipeCapacity(pipe))
        return try Files.read(copy.first.raw, count: try Files.tee(from: pipe, to: copy.second.raw, count: count))
    }

    /// Takes out again what was put in, for a restore that failed.
    mutating func withdraw() {
        for (pipe, bytes) in filled {
            // What is not there any more somebody else has read.
            guard let head = try? Self.peek(bytes.count, pipe.descriptor.raw), head == bytes else { continue }
            _ = try? Files.read(pipe.descriptor.raw, count: bytes.count)
        }
        commit()
    }

    /// What is done stays done: nothing of it must stay with Apus, or the end of a pipe would never be seen.
    mutating func commit() { filled = [] }

    /// Forgets what is not done yet.
    mutating func leave() { fillings = [] }
}
