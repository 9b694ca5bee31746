internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// What the memory of a whole tree has against being carried: what it shares with processes outside.
enum MemoryObstacles {
    /// - Parameters:
    ///   - descriptors: of the tree, by process.
    ///   - isRunning: nothing stands still yet, and there is the time to look at all other processes.
    static func find(
        _ processes: [SurveyedProcess], _ descriptors: [Int32: [SeenDescriptor]], isRunning: Bool
    ) -> [Problem] {
        segments(processes, isRunning: isRunning) + rings(processes) + requestRings(processes, descriptors)
            + packetRings(processes, descriptors)
            + (isRunning ? sharedOutside(processes) : [])
    }

    // MARK: Shared memory without a name

    /// Shared anonymous memory and memfds that somebody outside has, too: after the restore there would be two of each.
    private static func sharedOutside(_ processes: [SurveyedProcess]) -> [Problem] {
        var own: [InodeIdentity: Problem.Object] = [:]
        for process in processes {
            for (area, kind) in process.areas where kind == .sharedMemory {
                var object = process.object
                object.address = area.range.lowerBound
                own[InodeIdentity(area)] = object
            }
            for seen in process.descriptors where SharedMemoryFile.recognises(seen) {
                own[InodeIdentity(seen.status)] = seen.object
            }
        }
        if own.isEmpty { return [] }
        let pids = Set(processes.map(\.pid))
        var found: [Problem] = []
        for pid in (try? Procfs.live.processes()) ?? [] where pid != Processes.current && !pids.contains(pid) {
            for identity in sharedMemory(of: pid) {
                guard let object = own[identity], !Descent.leads(to: pid, from: pids) else { continue }
                own[identity] = nil
                let name = (try? ProcessDirectory(pid).stat()).map { " (\(String(decoding: $0.name, as: UTF8.self)))" }
                found.append(
                    Problem(
                        .leadsOutside, "process \(pid)\(name ?? "") outside of the tree shares this memory",
                        object: object,
                        remedy: "Dump the processes that share it together, by a parent of all"))
            }
        }
        return found
    }

    private static func sharedMemory(of pid: Int32) -> Set<InodeIdentity> {
        let directory = ProcessDirectory(pid)
        var found: Set<InodeIdentity> = []
        // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
        for area in (try? directory.maps()) ?? [] where area.isSharedMemory {
            found.insert(InodeIdentity(area))
        }
        for number in (try? directory.descriptors()) ?? [] {
            guard let link = try? directory.descriptorLink(number), link.starts(with: "/memfd:".utf8),
                let status = try? Files.status(of: directory.path.appending("fd").appending("\(number)"))
            else { continue }
            found.insert(InodeIdentity(status))
        }
        return found
    }

    // MARK: Asynchronous I/O

    private static func rings(_ processes: [SurveyedProcess]) -> [Problem] {
        processes.flatMap { process in
            process.areas.filter { $0.kind == .asyncIO }.compactMap { area, _ in
                do throws(Problem) {
                    _ = try AsyncRing.read(area, try ProcessMemory(pid: process.eye), process.object)
                    return nil
                } catch {
                    return error
                }
            }
        }
    }

    /// Mapped rings of io_uring of which nobody in the tree has a descriptor any more.
    private static func requestRings(
        _ processes: [SurveyedProcess], _ descriptors: [Int32: [SeenDescriptor]]
    ) -> [Problem] {
        processes.flatMap { process in
            process.areas.filter { $0.kind == .requestRing }.compactMap { area, _ in
                IoUring.obstacle(toMapping: area, of: process.pid, process: process.name, among: descriptors)
            }
        }
    }

    /// Mapped memory of sockets that is not the whole of the rings of a packet socket of the tree.
    private static func packetRings(
        _ processes: [SurveyedProcess], _ descriptors: [Int32: [SeenDescriptor]]
    ) -> [Problem] {
        processes.flatMap { process in
            process.areas.filter { $0.kind == .packetRing }.compactMap { area, _ in
                PacketSocket.obstacle(toMapping: area, of: process.pid, process: process.name, among: descriptors)
            }
        }
    }

    // MARK: Segments

    /// - Parameter isRunning: children that have come since the tree was listed are attached, too. So what the kernel counts
    ///   means something only where somebody outside is seen to have the segment; the frozen tree is counted.
    private static func segments(_ processes: [SurveyedProcess], isRunning: Bool) -> [Problem] {
        var memories = SharingIDs(.memory, first: 1)
        // Processes with one memory have it attached once.
        let owners = processes.filter { process in
            process.areas.contains { $0.kind == .systemV } && (try? memories.id(of: process.eye).isShared) != true
        }
        let mappings = owners.flatMap { process in
            process.areas.filter { $0.kind == .systemV }.map { (area: $0.area, object: process.object) }
        }
        if mappings.isEmpty { return [] }
        do throws(ProcfsError) {
            let found = SystemVMemory.obstacles(to: mappings, among: try Procfs.live.sharedSegments())
            if found.isEmpty || !isRunning { return found.map(\.problem) }
            let outside = segmentsOutside(of: Set(processes.map(\.pid)))
            return found.filter { outside.contains($0.id) }.map(\.problem)
        } catch {
            return [
                Problem(
                    .objectUnreadable, "the segments of System V shared memory cannot be listed (\(error.description))",
                    object: mappings[0].object, remedy: "Mount the /proc of this host")
            ]
        }
    }
}

extension MemoryObstacles {
    /// The segments that processes which do not come from these have attached.
    private static func segmentsOutside(of pids: Set<Int32>) -> Set<UInt64> {
        var found: Set<UInt64> = []
        for pid in (try? Procfs.live.processes()) ?? [] where !pids.contains(pid) {
            // What has ended meanwhile has nothing attached.
            let attached = ((try? ProcessDirectory(pid).maps()) ?? []).filter(\.isSegment).map(\.inode)
            if !attached.isEmpty, !Descent.leads(to: pid, from: pids) { found.formUnion(attached) }
        }
        return found
    }
}

extension Descriptions {
    /// Keeps the numbers of attached segments from being given to other shared memory.
    func reserve(segmentsOf areas: [(area: MappedArea, kind: AreaKind)]) {
        reserve(sharedMemory: areas.filter { $0.kind == .systemV }.map { UInt32(truncatingIfNeeded: $0.area.inode) })
    }
}
