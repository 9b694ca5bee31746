public import SystemPackage

/// Something of the kernel that Apus uses, and that a kernel may lack: for `apus check`.
///
/// Every probe does the thing itself, on a small scale, and undoes it. A version number would say nothing about a
/// kernel with features taken back, compiled out or forbidden.
public struct KernelFeature: Sendable {
    /// As `apus check --feature` takes it. The names that CRIU's users know are kept.
    public let name: String
    /// What it is, in a few words.
    public let summary: String
    /// What is lost without it: one sentence.
    public let cost: String
    /// Whether nothing can be dumped or restored without it.
    public let isRequired: Bool
    private let finding: @Sendable () throws(Errno) -> Finding

    /// What a probe finds out. A refusal that the probe throws is judged by its number.
    public enum Finding: Sendable, Equatable {
        case present
        case missing(String)
        case cannotTell(String)
    }

    /// What is known after the probe.
    public enum Availability: Sendable, Equatable {
        case present
        /// Why it is taken to be missing, and what is lost.
        case missing(reason: String, cost: String)
        /// Why the probe could not be carried out: missing rights, as a rule.
        case cannotTell(reason: String)
    }

    /// Modules above add features of their own.
    ///
    /// - Parameter finding: carries out the probe, leaving nothing behind. It may throw the kernel's refusal: EPERM and
    ///   EACCES mean that it cannot be told, anything else that the feature is missing.
    public init(
        _ name: String, _ summary: String, cost: String, isRequired: Bool = false,
        finding: @escaping @Sendable () throws(Errno) -> Finding
    ) {
        self.name = name
        self.summary = summary
        self.cost = cost
        self.isRequired = isRequired
        self.finding = finding
    }

    /// Probes the running kernel. Takes well under a second; ptrace is used from the calling thread.
    public func probe() -> Availability {
        let found: Finding
        do throws(Errno) {
            found = try finding()
        } catch .notPermitted {
            found = .cannotTell("the probe is not permitted (EPERM)")
        } catch .permissionDenied {
            found = .cannotTell("the probe is not permitted (EACCES)")
        } catch {
            found = .missing("the probe failed with \(error.name)")
        }
        switch found {
        case .present: return .present
        case .missing(let reason): return .missing(reason: reason, cost: cost)
        case .cannotTell(let reason): return .cannotTell(reason: reason)
        }
    }

    /// Every feature of this module.
    public static let all: [KernelFeature] = tracing + processes + memory + files + namespaces + network

    /// The feature of a name; nil for an unknown one. Hyphens and underscores are alike.
    public static func named(_ name: String) -> KernelFeature? {
        let wanted = normalized(name)
        return all.first { normalized($0.name) == wanted }
    }

    private static func normalized(_ name: String) -> String {
        String(name.map { $0 == "-" ? "_" : $0 })
    }
}
