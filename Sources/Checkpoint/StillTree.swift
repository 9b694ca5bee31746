internal import Diagnostics
internal import Glibc
internal import Linux
internal import Logging
internal import Objects
internal import Tracing

/// A tree that stands still, and what is then to be seen of it.
struct StillTree {
    let tree: FrozenTree
    let survey: Survey
    /// When it came to a standstill, in nanoseconds of the monotonic clock.
    let since: UInt64
    /// How often it was let go again before that.
    let retries: Int
    /// Programs that were just being loaded even so.
    let loading: [SurveyedProcess]
    /// Keeps new connections away; nil where there is nobody to keep them from.
    let door: ListenerLock?

    /// How often, and for how many microseconds at first, a tree is let go again.
    private static let attempts = 6
    private static let pause: UInt32 = 5_000

    /// Stops a tree.
    ///
    /// What is under way for a moment only, such as data on a connection that nobody has accepted yet, cannot be carried.
    /// A tree that is caught in such a moment is let go, so that it arrives, and stopped again. TCP connections that it does
    /// not accept even so are carried as they wait. A tree of which a program is just being loaded (``LoadingPrograms``) is let
    /// go in the same way.
    ///
    /// - Parameters:
    ///   - known: what was seen of mappings while it ran.
    ///   - before: what was seen of it then.
    ///   - tracking: knows what it has written to, and is asked for that at the first moment.
    init(
        _ options: DumpOptions, _ deadline: Deadline, _ known: KnownMappings, before: Survey,
        _ tracking: WriteTracking? = nil, _ logger: Logger
    ) throws {
        var (left, pause) = (Self.attempts, Self.pause)
        door = before.door
        while true {
            let tree = try TreeFreezer.freeze(root: options.pid, deadline: deadline)
            let since = SystemClock.monotonic.now
            tracking?.finish()
            do {
                var options = options
                options.carriesWaiting = left == 0
                let survey = try Survey(frozen: tree.processes.map(\.pid), options, known, before: before)
                let isPassing = !survey.obstacles.isEmpty && survey.obstacles.allSatisfy { $0.code == .underWay }
                let loading = survey.obstacles.isEmpty ? LoadingPrograms.find(survey.processes) : []
                if !isPassing && loading.isEmpty || left == 0 || deadline.isPast {
                    self.tree = tree
                    self.survey = survey
                    self.since = since
                    self.loading = loading
                    retries = Self.attempts - left
                    return
                }
                loading.forEach { logger.debug("\($0.object.description) is just being loaded: the tree is let go") }
            } catch {
                tree.thaw()
                throw error
            }
            tracking?.resume()
            tree.thaw()
            usleep(pause)
            (left, pause) = (left - 1, pause * 2)
        }
    }
}
