internal import Diagnostics

/// The versions that Apus has and claims.
public enum Version {
    /// The version of Apus.
    public static let apus = ToolVersion.current
    /// The version of CRIU whose command line and images this version of Apus answers to.
    public static let criu = "4.2"

    /// What `--version` prints, with a final newline.
    ///
    /// Clients of CRIU read `Version: X.Y` from the first line and refuse a version that is too old for them. Under the
    /// name `criu` that line therefore tells the version of CRIU whose place Apus takes.
    public static func text(asCRIU: Bool) -> String {
        asCRIU
            ? "Version: \(criu)\nApus: \(apus)\n"
            : "Version: \(apus)\nApus \(apus), compatible with CRIU \(criu)\n"
    }
}
