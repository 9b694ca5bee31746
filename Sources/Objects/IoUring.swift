public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage

/// A queue of requests to the kernel and of their results: io_uring(7).
///
/// The kernel shows neither how one was set up nor which requests are under way in it. But it counts the requests that it
/// has taken and the results that it has given: where these are as many, nothing is under way. And it answers calls that
/// change nothing one way for a plain ring and another way for one that has something registered or works differently: what it answers
/// like one that was made just now can be made again.
public enum IoUring: DescriptionKind {
    public static let name = "io_uring"

    private static let link = "anon_inode:[io_uring]"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: link) }

    public static func doubt(about seen: SeenDescriptor) -> String? {
        "a request is under way in an io_uring at that moment, or one is set up in a way that cannot be carried"
    }

    // MARK: Obstacles

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let state = State(seen) else {
            return Problem(
                .unsupported, "this kernel does not show how far an io_uring has come", object: seen.object,
                remedy: "Run the program without (sysctl kernel.io_uring_disabled=2), or on Linux 6.1 or later")
        }
        if let found = state.registered {
            return Problem(
                .unsupported, "an io_uring with \(found) cannot be carried", object: seen.object,
                remedy: "Have the program close it before the dump, or run it without io_uring")
        }
        if state.fileCount > 0,
            RegisteredFiles(seen, state, circumstances.descriptors[seen.pid] ?? []) == nil
        {
            return Problem(
                .unsupported,
                "an io_uring with registered files (IORING_REGISTER_FILES) that are no sockets of the process cannot be carried:"
                    + " which description each is the kernel does not show",
                object: seen.object, remedy: "Have the program close it before the dump, or run it without io_uring")
        }
        if state.waiting > 0 || state.taken != state.given {
            let count = max(Int(state.taken &- state.given), state.waiting)
            return Problem(
                .underWay,
                "\(count) of the \(state.taken) requests made through an io_uring are under way, as it seems",
                object: seen.object,
                remedy:
                    "Try again when the program does less; one that waits for a connection or a time has to be ended by it"
            )
        }
        return nil
    }

    /// What fdinfo tells of a ring.
    struct State {
        let size: RequestRing.Size
        /// The requests that the kernel has taken, the results that it has given; modulo 2^32.
        let taken, given: UInt32
        /// Requests that wait for something to become ready.
        let waiting: Int
        /// Memory that is registered (IORING_REGISTER_BUFFERS), in its order; empty ranges for places that are free.
        let buffers: [Range<UInt64>]
        /// How many places for files are registered (IORING_REGISTER_FILES), and what those that are taken are called, by their
        /// places; nil where the kernel does not show that.
        let fileCount: Int
        let files: [Int: [UInt8]]?
        /// What makes it other than plain, in words.
        let registered: String?

        /// - Returns: nil where the kernel does not show it all.
        init?(_ seen: SeenDescriptor) {
            guard let requestMask: UInt32 = Self.mask("SqMask", seen), let resultMask = Self.mask("CqMask", seen),
                let size = RequestRing.Size(requests: requestMask &+ 1, results: resultMask &+ 1),
                let taken: UInt32 = seen.number("CachedSqHead"), let given: UInt32 = seen.number("CachedCqTail"),
                let thread: Int32 = seen.number("SqThread")
            else { return nil }
            self.size = size
            self.taken = taken
            self.given = given
            func lines(_ start: String) -> Int {
                seen.info.rest.count { String(decoding: $0.key, as: UTF8.self).trimmingBlanks.hasPrefix(start) }
            }
            waiting = lines("op=")
            fileCount = seen.number("UserFiles") ?? 0
            files = Self.files(seen, fileCount)
            let (count, found): (Int, [Range<UInt64>]) = (seen.number("UserBufs") ?? 0, Self.buffers(seen))
            buffers = found
            registered =
                if thread != -1 {
                    "a thread of the kernel that looks for requests (IORING_SETUP_SQPOLL)"
                } else if count != found.count {
                    "registered buffers (IORING_REGISTER_BUFFERS) that the kernel does not show"
                } else if !seen.info.values(of: "Personalities").isEmpty {
                    "registered credentials (IORING_REGISTER_PERSONALITY)"
                } else if lines("user_data=") > 0 {
                    "more results than it has room for"
                } else if let napi = seen.info.values(of: "NAPI").first, !napi.elementsEqual("disabled".utf8) {
                    "polling of network devices (IORING_REGISTER_NAPI)"
                } else {
                    nil
                }
        }

        /// Lines such as `    0: 0x7f0123456000/4096` or `    1: <none>`, behind their number.
        private static func buffers(_ seen: SeenDescriptor) -> [Range<UInt64>] {
            guard let start = seen.info.rest.firstIndex(where: { $0.keyText == "UserBufs" }) else { return [] }
            var found: [Range<UInt64>] = []
            for line in seen.info.rest[(start + 1)...] {
                guard Int(line.keyText.trimmingBlanks) == found.count else { break }
                let parts = line.valueText.trimmingBlanks.split(separator: "/")
                if parts.count == 2, parts[0].hasPrefix("0x"), let address = UInt64(parts[0].dropFirst(2), radix: 16),
                    let length = UInt64(parts[1]), case let (end, overflow) = address.addingReportingOverflow(length),
                    !overflow
                {
                    found.append(address..<end)
                } else if parts == ["<none>"] {
                    found.append(0..<0)
                } else {
                    break
                }
            }
            return found
        }

        /// Lines such as `    0: socket:[123]`, behind their number; places that are free are not listed, or as `<none>`.
        private static func files(_ seen: SeenDescriptor, _ count: Int) -> [Int: [UInt8]]? {
            guard let start = seen.info.rest.firstIndex(where: { $0.keyText == "UserFiles" }) else { return nil }
            var found: [Int: [UInt8]] = [:]
            for line in seen.info.rest[(start + 1)...] {
                guard let place = Int(line.keyText.trimmingBlanks) else { break }
                guard place < count else { return nil }
                let name = line.valueText.trimmingBlanks
                if name != "<none>" { found[place] = Array(name.utf8) }
            }
            return found
        }

        private static func mask(_ key: String, _ seen: SeenDescriptor) -> UInt32? {
            guard let value = seen.info.values(of: key).first else { return nil }
            let text = String(decoding: value, as: UTF8.self).trimmingBlanks
            return text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : nil
        }
    }

    // MARK: Capture

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        // As it stands now, with its process at rest.
        let now: SeenDescriptor
        do throws(ProcfsError) { now = try SeenDescriptor(seen.number, of: seen.pid, process: seen.process) } catch {
            throw descriptions.unreadable(seen, error.errno ?? .ioError, "read of \(error.file)")
        }
        if let problem = obstacle(to: now, descriptions.circumstances) { throw problem }
        guard let state = State(now) else { throw descriptions.missing("SqMask", of: seen) }
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        let own = try descriptions.open(seen)
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        let found: (difference: String?, image: RequestRingImage)
        do throws(Errno) {
            // Every kernel lays out all rings of one size alike.
            let plain = try RequestRing(making: state.size)
            let ring = try RequestRing(lookingInto: own, state.size, plain.layout)
            let issuer = descriptions.ringThreads[seen.pid]?.lazy.compactMap { $0.answers[seen.number] }.first
            found = (
                difference(ring, plain, issuer),
                RequestRingImage(
                    ring, taken: state.taken, buffers: .init(process: seen.pid, descriptor: seen.number, state.buffers))
            )
        } catch {
            throw descriptions.unreadable(seen, error, "io_uring_setup and mmap")
        }
        if let difference = found.difference {
            throw Problem(
                .unsupported, "an io_uring \(difference) cannot be carried", object: seen.object,
                remedy: "Have the program close it before the dump, or run it without io_uring")
        }
        let image = found.image
        guard image.isSound else {
            throw Problem(
                .unsupported, "the counts in the memory of an io_uring make no sense: the program has overwritten them",
                object: seen.object, remedy: "Have the program close it before the dump")
        }
        if image.taken > 0 {
            descriptions.note(
                loss:
                    "process \(seen.pid), descriptor \(seen.number): as many requests made through this io_uring have ended as were"
                    + " made; of a program that makes some with several results (multishot) that does not prove that none is"
                    + " under way, and what is would be lost")
        }
        let files = RegisteredFiles(now, state, descriptions.circumstances.descriptors[seen.pid] ?? [])
        descriptions.supplement[.uring, file.id] = image.json(with: state.fileCount > 0 ? files : nil)
        RegularFile.add(file, to: descriptions)
        return DescriptionKey(.reg, file.id)
    }

    /// How one differs from one that was made without special flags and has nothing registered.
    ///
    /// - Parameter issuer: what it has answered the one thread that may use it, where there is one in the process.
    private static func difference(
        _ ring: borrowing RequestRing, _ plain: borrowing RequestRing, _ issuer: RequestRingThread.Answers?
    ) -> String? {
        var (answers, usual) = (ring.answers, plain.answers)
        let isOfOneThread = answers.probing == .fileExists
        if isOfOneThread {
            guard let issuer else {
                return "of one thread alone (IORING_SETUP_SINGLE_ISSUER) that has ended or is of another process"
            }
            answers = issuer.plain
        }
        if answers.entering != usual.entering { return "that is yet to be enabled (IORING_SETUP_R_DISABLED)" }
        if answers.probing != usual.probing { return "with restrictions (IORING_REGISTER_RESTRICTIONS)" }
        if answers.eventfd != usual.eventfd { return "with an eventfd (IORING_REGISTER_EVENTFD)" }
        if answers.napi != usual.napi { return "that is polled (IORING_SETUP_IOPOLL)" }
        if ring.hasLongEntries { return "with long entries (IORING_SETUP_SQE128, IORING_SETUP_CQE32)" }
        if let group = isOfOneThread ? issuer?.group : ring.bufferGroup {
            return "with buffers to choose from (group \(group))"
        }
        return nil
    }
}

extension IoUring {
    /// The descriptor of a mapped ring, of that process rather than of another.
    private static func holder(
        of area: MappedArea, _ pid: Int32, among descriptors: [Int32: [SeenDescriptor]]
    ) -> SeenDescriptor? {
        let all = (descriptors[pid] ?? []) + descriptors.sorted { $0.key < $1.key }.flatMap(\.value)
        return all.first { recognises($0) && $0.status.inode == area.inode && $0.status.device == area.device }
    }

    /// Why the memory of a ring cannot be carried; nil where the ring itself tells.
    ///
    /// - Parameter descriptors: of the tree, by process.
    public static func obstacle(
        toMapping area: MappedArea, of pid: Int32, process: String, among descriptors: [Int32: [SeenDescriptor]]
    ) -> Problem? {
        holder(of: area, pid, among: descriptors) == nil ? withoutDescriptor(area, pid, process) : nil
    }

    private static func withoutDescriptor(_ area: MappedArea, _ pid: Int32, _ process: String) -> Problem {
        Problem(
            .unsupported, "the memory of an io_uring of which nobody has a descriptor any more cannot be carried",
            object: .init(pid: pid, process: process, address: area.range.lowerBound),
            remedy: "Have the program unmap it before the dump")
    }

    /// The id of the ring that a process has mapped.
    public static func capture(
        mapping area: MappedArea, of pid: Int32, process: String, into descriptions: Descriptions
    ) throws(Problem) -> UInt32 {
        let all = descriptions.circumstances.descriptors
        if let holder = holder(of: area, pid, among: all) { return try descriptions.capture(holder).id }
        throw withoutDescriptor(area, pid, process)
    }
}
