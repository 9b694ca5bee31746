internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects

/// What the memory of a whole tree has against being carried: what it shares with processes outside.
enum MemoryObstacles {
    static func find(_ processes: [SurveyedProcess]) -> [Problem] {
        segments(processes)
    }

    private static func segments(_ processes: [SurveyedProcess]) -> [Problem] {
        let mappings = processes.flatMap { process in
            process.areas.filter { $0.kind == .systemV }.map { (area: $0.area, object: process.object) }
        }
        if mappings.isEmpty { return [] }
        do throws(ProcfsError) {
            return SystemVMemory.obstacles(to: mappings, among: try Procfs.live.sharedSegments())
        } catch {
            return [
                Problem(
                    .objectUnreadable, "the segments of System V shared memory cannot be listed (\(error.description))",
                    object: mappings[0].object, remedy: "Mount the /proc of this host")
            ]
        }
    }
}

extension Descriptions {
    /// Keeps the numbers of attached segments from being given to other shared memory.
    func reserve(segmentsOf areas: [(area: MappedArea, kind: AreaKind)]) {
        reserve(sharedMemory: areas.filter { $0.kind == .systemV }.map { UInt32(truncatingIfNeeded: $0.area.inode) })
    }
}
