internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// Finds what the images have no place for about the memory of a frozen process.
enum MemoryTraitsCapture {
    /// - Parameter guards: the guard pages in its memory.
    static func find(
        _ surveyed: SurveyedProcess, _ captured: CapturedProcess, guards: [Range<UInt64>]
    ) -> MemoryTraits {
        var traits = MemoryTraits()
        traits.futureLocks = captured.futureLocks
        traits.policies = captured.policies.found
        traits.keys = captured.protectionKeys
        for (area, _) in surveyed.areas {
            let flags = area.details?.flags ?? []
            if flags.contains(.lockOnFault) { traits.lockedOnFault.append(area.range) }
            if flags.contains(.droppable) { traits.droppable.append(area.range) }
            if flags.contains(.sealed), !area.name.isKernelProvided { traits.sealed.append(area.range) }
            if let key = area.details?.protectionKey, MemoryTraits.possibleKeys.contains(Int(key)) {
                traits.keyed.append(.init(range: area.range, key: Int(key)))
            }
            switch area.name {
            case .anonymous(let name), .sharedAnonymous(let name):
                traits.names.append(.init(range: area.range, name: name))
            case .none, .file, .heap, .stack, .vdso, .vvar, .vvarClock, .vsyscall, .other: break
            }
        }
        traits.guards = guards
        return traits
    }

    /// What mlockall(2) has said about mappings to come, which `/proc` shows nowhere: whether the one that Apus has
    /// just made in the process is locked, although nobody has locked it.
    ///
    /// - Parameter surveyed: the process before that.
    static func futureLocks(_ surveyed: SurveyedProcess) throws(Problem) -> UInt32 {
        let directory = ProcessDirectory(surveyed.eye)
        let (future, onFault): (UInt32, UInt32) = (2, 4)
        do throws(ProcfsError) {
            guard let now = try directory.lockedSize(), let before = surveyed.status.lockedSize, now > before
            else { return 0 }
            let known = Set(surveyed.areas.map(\.area.range.lowerBound))
            let new = try directory.smaps().filter { !known.contains($0.range.lowerBound) }
            let isOnFault = new.contains { $0.details?.flags.contains(.lockOnFault) ?? false }
            return isOnFault ? future | onFault : future
        } catch {
            throw Problem(
                .objectUnreadable, "what it has locked into memory cannot be read (\(error.description))",
                object: surveyed.object, remedy: "Run Apus as root, with /proc mounted")
        }
    }
}
