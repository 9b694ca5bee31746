public import Diagnostics
public import Linux

/// What `apus check` found out about the kernel, and what it says about it.
public struct FeatureReport: Sendable {
    /// One feature of the kernel, probed.
    public struct Finding: Sendable, Equatable {
        public var name: String
        /// What it is.
        public var summary: String
        /// Whether nothing can be dumped or restored without it.
        public var isRequired: Bool
        public var availability: KernelFeature.Availability

        public init(name: String, summary: String, isRequired: Bool, availability: KernelFeature.Availability) {
            self.name = name
            self.summary = summary
            self.isRequired = isRequired
            self.availability = availability
        }

        /// Probes the feature.
        public init(probing feature: KernelFeature) {
            self.init(
                name: feature.name, summary: feature.summary, isRequired: feature.isRequired,
                availability: feature.probe())
        }
    }

    /// The release of the kernel.
    public var kernel: String
    public var findings: [Finding]
    /// Whether the check fails over any feature that is not there, and not only over one that nothing works without.
    public var requiresAll: Bool

    public init(kernel: String, findings: [Finding], requiresAll: Bool = false) {
        self.kernel = kernel
        self.findings = findings
        self.requiresAll = requiresAll
    }

    private var absent: [Finding] { findings.filter { $0.availability != .present } }
    private var fatal: [Finding] { absent.filter { $0.isRequired || requiresAll } }

    /// Whether everything required is there.
    public var succeeds: Bool { fatal.isEmpty }

    /// The verdict, in the words that clients of CRIU look for.
    var verdict: String {
        if !succeeds { return "Not everything required is there: " + fatal.map(\.name).joined(separator: ", ") }
        return absent.isEmpty ? "Looks good." : "Looks good, but some kernel features are missing (see above)."
    }

    /// The whole report for people, with a final newline.
    public func text(_ style: TextStyle) -> String {
        var text = style.strong("Kernel \(kernel)") + "\n"
        let width = findings.map(\.name.count).max() ?? 0
        let indent = String(repeating: " ", count: width + 13)
        for finding in findings {
            let name = finding.name + String(repeating: " ", count: width - finding.name.count)
            let loud = finding.isRequired || requiresAll
            switch finding.availability {
            case .present:
                text += "  present  \(name)  \(finding.summary)\n"
            case .missing(let reason, let cost):
                text +=
                    "  \(loud ? style.alarming("MISSING") : style.warning("missing"))  \(name)  \(finding.summary)\n"
                text += "\(indent)\(reason)\n\(indent)what that costs: \(cost)\n"
            case .cannotTell(let reason):
                text +=
                    "  \(loud ? style.alarming("UNKNOWN") : style.warning("unknown"))  \(name)  \(finding.summary)\n"
                text += "\(indent)\(reason)\n"
            }
        }
        return text + verdict + "\n"
    }

    /// The report for programs.
    public var json: JSON {
        [
            "ok": .bool(succeeds), "verb": "check", "kernel": .string(kernel), "verdict": .string(verdict),
            "features": .array(findings.map(\.json)),
        ]
    }

    /// A problem for each feature that is not there: for `--feature`, which asks about these alone.
    public var problems: [Problem] {
        absent.map { finding in
            switch finding.availability {
            case .missing(let reason, let cost):
                Problem(
                    .featureMissing, "the kernel has no \(finding.name): \(reason)", remedy: "What that costs: \(cost)")
            case .cannotTell(let reason):
                Problem(
                    .featureUnknown, "whether the kernel has \(finding.name) cannot be told: \(reason)",
                    remedy: "Run the check as root")
            case .present: preconditionFailure("only features that are not there are asked")
            }
        }
    }

    /// The features that `--feature` asks for: names, also several with commas between them.
    ///
    /// - Throws: `unknown-feature` for each unknown one.
    public static func features(named names: [String]) throws(Problems) -> [KernelFeature] {
        var found: [KernelFeature] = []
        var problems: [Problem] = []
        for name in names.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            if let feature = KernelFeature.named(String(name)) {
                found.append(feature)
                continue
            }
            let known = KernelFeature.all.map(\.name)
            let similar = Spelling.nearest(to: String(name), among: known)
            problems.append(
                Problem(
                    .unknownFeature, "there is no feature \(String(name).printable)",
                    remedy: similar.isEmpty
                        ? "Known are: \(known.sorted().joined(separator: ", "))"
                        : "Perhaps \(similar.joined(separator: " or ")) was meant"))
        }
        try Problems.throwIfAny(problems)
        return found
    }
}

extension FeatureReport.Finding {
    fileprivate var json: JSON {
        var members: [JSON.Member] = [
            .init("name", .string(name)), .init("summary", .string(summary)), .init("required", .bool(isRequired)),
        ]
        switch availability {
        case .present: members.append(.init("state", "present"))
        case .missing(let reason, let cost):
            members += [
                .init("state", "missing"), .init("reason", .string(reason)), .init("cost", .string(cost)),
            ]
        case .cannotTell(let reason):
            members += [.init("state", "unknown"), .init("reason", .string(reason))]
        }
        return .object(members)
    }
}

extension Problem.Code {
    /// The kernel lacks a feature that was asked for.
    public static let featureMissing: Self = "feature-missing"
    /// Whether the kernel has a feature cannot be told.
    public static let featureUnknown: Self = "feature-unknown"
    /// No feature has this name.
    public static let unknownFeature: Self = "unknown-feature"
}
