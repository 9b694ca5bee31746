public import Diagnostics

/// What `apus check` found out about the kernel, and what it says about it.
public struct FeatureReport: Sendable {
    /// How much depends on a feature.
    public enum Importance: String, Sendable, CaseIterable {
        /// Nothing works without it.
        case essential
        /// Some programs cannot be carried without it, or only more slowly.
        case extra
        /// Nothing uses it yet in a plain dump or restore.
        case experimental
    }

    /// One feature of the kernel.
    public struct Finding: Sendable, Equatable {
        public var name: String
        public var isPresent: Bool
        public var importance: Importance
        /// What the feature is for.
        public var purpose: String
        /// What its absence costs.
        public var cost: String

        public init(name: String, isPresent: Bool, importance: Importance, purpose: String, cost: String) {
            self.name = name
            self.isPresent = isPresent
            self.importance = importance
            self.purpose = purpose
            self.cost = cost
        }
    }

    /// The kernel: release and architecture.
    public var kernel: String
    public var findings: [Finding]
    /// Which features must be there for the check to succeed.
    public var required: Set<Importance>

    public init(kernel: String, findings: [Finding], required: Set<Importance> = [.essential]) {
        self.kernel = kernel
        self.findings = findings
        self.required = required.union([.essential])
    }

    private var missing: [Finding] { findings.filter { !$0.isPresent } }
    private var fatal: [Finding] { missing.filter { required.contains($0.importance) } }

    /// Whether everything required is there.
    public var succeeds: Bool { fatal.isEmpty }

    /// The verdict, in the words that clients of CRIU look for.
    var verdict: String {
        if !succeeds { return "This kernel lacks what was required: " + fatal.map(\.name).joined(separator: ", ") }
        return missing.isEmpty ? "Looks good." : "Looks good, but some kernel features are missing (see above)."
    }

    /// The whole report for people, with a final newline.
    public func text(_ style: TextStyle) -> String {
        var text = style.strong("Kernel \(kernel)") + "\n"
        let width = findings.map(\.name.count).max() ?? 0
        for finding in findings {
            let name = finding.name + String(repeating: " ", count: width - finding.name.count)
            if finding.isPresent {
                text += "  present  \(name)  \(finding.purpose)\n"
            } else {
                let mark = required.contains(finding.importance) ? style.alarming("MISSING") : style.warning("missing")
                text += "  \(mark)  \(name)  \(finding.purpose)\n"
                text += String(repeating: " ", count: width + 13) + "without it: \(finding.cost)\n"
            }
        }
        return text + verdict + "\n"
    }

    /// The report for programs.
    public var json: JSON {
        [
            "ok": .bool(succeeds), "verb": "check", "kernel": .string(kernel), "verdict": .string(verdict),
            "features": .array(
                findings.map { finding in
                    [
                        "name": .string(finding.name), "present": .bool(finding.isPresent),
                        "importance": .string(finding.importance.rawValue), "purpose": .string(finding.purpose),
                        "cost": .string(finding.cost),
                    ]
                }),
        ]
    }
}
