public import Logging

/// A tree moves to another host while it runs.
public enum Migration {
    /// Moves it.
    ///
    /// - Returns: what it came to.
    /// - Throws: `Problems` and `Problem`: the tree runs on here; `migration-unsettled` where it is not known on which host it
    ///   is to run, and it stands still here.
    public static func run(_ options: MigrationOptions, logger: Logger) throws -> MigrationSummary {
        var journey = try OutwardJourney(options, logger)
        return try journey.run()
    }
}
