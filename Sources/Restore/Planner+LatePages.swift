internal import CLinux
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage
internal import Tracing

/// Pages that follow when the tree runs (``LateMemory``).
extension Planner {
    /// Sees to it that none of them is there, and has the task send a userfaultfd(2) of its own.
    ///
    /// The rest of its memory is in its place by then. Where it was put there by way of huge pages, or by an early root, pages of zeros
    /// or old ones may stand where others are to come.
    mutating func composeLatePages(
        of task: TaskImages, _ vmas: [VmaEntry], _ segments: [PageLayers.Segment], in batch: inout Batch
    ) {
        guard let late = host.late, let runs = late.runs[task.pid], !runs.isEmpty else { return }
        let mappings = vmas.filter { vma in !runs.overlapping(vma.start..<vma.end, by: { $0 }).isEmpty }
        let possible = mappings.filter(Self.canBeLate)
        guard runs.allSatisfy({ Self.isCovered($0, by: possible) }) else {
            return problems.append(
                Problem(
                    .imageUnsuitable, "pages are to follow that its memory has no place for",
                    object: .init(pid: task.pid, process: task.task.commText),
                    remedy: "Migrate without --postcopy"))
        }
        let notNeeded = 4  // MADV_DONTNEED
        for range in Self.joined(runs, between: segments, mappings) {
            batch.call(
                Int(SYS_madvise), .value(range.lowerBound), .value(range.upperBound - range.lowerBound),
                .int(notNeeded), for: "make room for pages that follow")
        }
        let socket = lateSocket(late.socket)
        // The number of a descriptor that is sent stands in the message: one that is known before.
        let seat = takeDescriptor()
        plan.openings.append(.init(descriptor: seat, resource: LateSeat(pid: task.pid), owner: nil))
        let made = Batch.Argument.result(
            batch.call(Int(SYS_userfaultfd), .int(UserFaults.creationFlags), for: "have its missing pages brought"))
        batch.call(Int(SYS_dup3), made, .signed(seat), .value(UInt64(O_CLOEXEC)))
        batch.call(Int(SYS_close), made)
        send(seat, of: task.pid, over: socket, in: &batch)
        batch.call(Int(SYS_close), .signed(seat))
        plan.lateMappings[task.pid] = mappings.map { $0.start..<$0.end }
    }

    /// Private memory without a file, of the usual pages, that is not locked.
    private static func canBeLate(_ vma: VmaEntry) -> Bool {
        let (locked, huge) = (UInt32(MAP_LOCKED), UInt32(MAP_HUGETLB))
        return vma.flags & UInt32(MAP_ANONYMOUS) != 0 && vma.flags & UInt32(MAP_PRIVATE) != 0
            && vma.flags & (locked | huge) == 0 && vma.kind.isDisjoint(with: [.privateFile, .memfd, .asyncIORing])
    }

    /// Fewer calls do for the same: what lies between two runs is dropped with them where no page is to be.
    private static func joined(
        _ runs: [Range<UInt64>], between segments: [PageLayers.Segment], _ mappings: [VmaEntry]
    ) -> [Range<UInt64>] {
        var joined: [Range<UInt64>] = []
        for run in runs {
            if let last = joined.last, last.upperBound <= run.lowerBound {
                let both = last.lowerBound..<run.upperBound
                let gap = last.upperBound..<run.lowerBound
                if gap.isEmpty || segments.overlapping(gap, by: { $0.range }).isEmpty && isCovered(both, by: mappings) {
                    joined[joined.count - 1] = both
                    continue
                }
            }
            joined.append(run)
        }
        return joined
    }

    /// The number of the socket in all tasks.
    private mutating func lateSocket(_ own: Int32) -> Int32 {
        if let known = plan.lateSocket { return known }
        let number = takeDescriptor()
        plan.lateSocket = number
        plan.openings.append(.init(descriptor: number, resource: LateSocket(own: own), owner: nil))
        return number
    }

    /// sendmsg(2) of the pid, with the descriptor (unix(7)).
    private func send(_ descriptor: Int32, of pid: Int32, over socket: Int32, in batch: inout Batch) {
        var words: [UInt8] = []
        words.append(littleEndian: pid)
        let payload = batch.buffer(words)
        // struct cmsghdr: a length of eight bytes, the level, the type; and the number, padded to eight bytes.
        var control: [UInt8] = []
        let (socketLevel, rights): (UInt32, UInt32) = (1, 1)
        control.append(littleEndian: UInt64(20))
        control.append(littleEndian: socketLevel)
        control.append(littleEndian: rights)
        control.append(littleEndian: descriptor)
        control.append(littleEndian: UInt32(0))
        let ancillary = batch.buffer(control)
        var piece: [UInt8] = []
        piece.append(littleEndian: UInt64(0))
        piece.append(littleEndian: UInt64(words.count))
        let vector = batch.buffer(piece)
        batch.store(addressOf: payload, in: vector)
        // struct msghdr: name and its length, pieces and their number, what goes with them and its length, flags.
        let message = batch.space(56)
        batch.store(addressOf: vector, in: message, at: 16)
        batch.store(1, in: message, at: 24)
        batch.store(addressOf: ancillary, in: message, at: 32)
        batch.store(control.count, in: message, at: 40)
        let noSignal = 0x4000
        batch.call(
            Int(SYS_sendmsg), .signed(socket), .address(message), .int(noSignal),
            for: "hand over what its missing pages are brought by")
    }
}

/// Apus' socket to which tasks send the descriptors by which their pages are brought.
private struct LateSocket: Resource {
    let own: Int32
    var description: String { "socket for pages that follow" }

    func obstacles(at site: RestoreSite) -> [Problem] { [] }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Files.duplicate(own, from: 3) } catch {
            throw Problem(
                .restoreFailed, "the socket for pages that follow cannot be used",
                cause: .init(error, attempted: "fcntl(F_DUPFD)"), remedy: "Migrate without --postcopy")
        }
    }
}

/// Keeps a number free in a task.
private struct LateSeat: Resource {
    let pid: Int32
    var description: String { "number for pages of \(pid) that follow" }

    func obstacles(at site: RestoreSite) -> [Problem] { [] }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) { return try Files.open("/dev/null", .readOnly) } catch {
            throw Problem(
                .restoreFailed, "/dev/null cannot be opened", cause: .init(error, attempted: "open"),
                remedy: "Mount /dev where Apus runs")
        }
    }
}
