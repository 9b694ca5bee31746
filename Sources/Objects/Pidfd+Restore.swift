public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A process that is gone when the tree runs, and that something of the tree means all the same.
final class EndedProcess {
    let pid: Int32
    private var isGone = false

    /// - Parameters:
    ///   - pid: nil for any.
    ///   - end: the word of wait4(2) with which it ends; nil for one that lives as long as this value.
    init(pid: Int32? = nil, end: UInt32? = nil) throws(Errno) {
        self.pid = try Processes.startPlaceholder(pid: pid, end: end)
    }

    /// Nothing is left of it, but for what is open.
    func end() {
        if isGone { return }
        isGone = true
        try? Processes.kill(pid, signal: 9)
        _ = try? Processes.wait(for: pid)
    }

    /// Waits until it has ended by itself; its remains stay, so that more can be opened of it.
    func awaitEnd(_ pidfd: Int32) throws(Errno) {
        _ = try Processes.waitID(pidfd: pidfd, [.exited, .keep])
    }

    deinit { end() }
}

/// A descriptor of a process of the tree, or of one that has ended.
public struct ProcessReference: Resource {
    let entry: PidfdEntry
    /// How it had ended; nil where that is not known.
    let end: UInt32?

    /// - Throws: `image-unsuitable` for a process that is not in the images.
    public init(_ entry: PidfdEntry, in images: CheckpointImages) throws(Problem) {
        self.entry = entry
        end = images.supplement[.pidfd, entry.id]?["status"]?.bits.map { UInt32(truncatingIfNeeded: $0) & 0xffff }
        if entry.nspid > 0, images.task(entry.nspid) == nil {
            throw Problem(
                .imageUnsound, "a pidfd means process \(entry.nspid), which is not in the images",
                remedy: "Copy the images again, all of them, or dump the tree that has both processes")
        }
    }

    private var hasEnded: Bool { entry.nspid <= 0 }

    public var description: String {
        hasEnded ? "pidfd of a process that has ended" : "pidfd of process \(entry.nspid)"
    }

    /// The process is to be there already.
    public var needsProcesses: Bool { !hasEnded }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        let flags = Int32(truncatingIfNeeded: entry.flags)
        let wanted = flags & (Processes.pidfdOfThread | OpenFlags.nonBlocking.rawValue)
        do throws(Errno) {
            if !hasEnded { return try Processes.open(entry.nspid, flags: wanted) }
            if let known = site.endedProcesses[entry.ino] { return try Processes.open(known.pid, flags: wanted) }
            let process = try EndedProcess(end: end ?? 0)
            site.endedProcesses[entry.ino] = process
            let descriptor = try Processes.open(process.pid, flags: wanted)
            try process.awaitEnd(descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "\(self) cannot be opened", cause: .init(error, attempted: "pidfd_open"),
                remedy: "Restore on a kernel as new as that of the dump (PIDFD_THREAD needs Linux 6.9)")
        }
    }
}
