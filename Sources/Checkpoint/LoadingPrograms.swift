internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects

/// Programs that are just being loaded. What their loader has not mapped yet it opens by its name when it goes on, and on
/// another host that is another library than its own.
enum LoadingPrograms {
    /// - Parameter processes: of a tree that stands still.
    static func find(_ processes: [SurveyedProcess]) -> [SurveyedProcess] {
        let living = processes.filter { !$0.isZombie }
        let states = Workers.map(living.count, worthwhile: 64) { isLoading(living[$0]) }
        return zip(living, states).filter(\.1).map(\.0)
    }

    /// What is said of a program that the dump has met so even after it was let go several times.
    static func warning(_ process: SurveyedProcess) -> String {
        "\(process.object.description): its libraries are just being loaded; on a host that has others it would go on with those"
            + " and may fail (symbol lookup error)"
    }

    private static func isLoading(_ process: SurveyedProcess) -> Bool {
        switch LoaderState.of(process.eye) {
        case .atWork: true
        // The program, its loader, and what it names itself: musl says nothing before these and all that they need are there.
        case .before(let needed): executables(process).count < needed + 2
        case .consistent, nil: false
        }
    }

    /// The files of code that are mapped.
    private static func executables(_ process: SurveyedProcess) -> Set<InodeIdentity> {
        Set(
            process.areas.lazy.filter { $0.area.protection.contains(.execute) }
                .compactMap { process.files[$0.area.range.lowerBound].map { InodeIdentity($0.status) } })
    }
}
