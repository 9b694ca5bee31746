/// The version of this program, wherever it is told: on the command line, in images, in logs.
public enum ToolVersion {
    /// MAJOR.MINOR.PATCH, as semver.org has it.
    public static let current = "0.1.0"
}
