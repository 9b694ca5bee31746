public import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// The answer to the question whether images can be restored on this host (`apus check DIR`).
public struct RestoreCheck: Sendable {
    public let directory: String
    /// Everything that stands in the way; none where they can be restored.
    public let problems: [Problem]
    /// What would be otherwise than it was, in words.
    public let warnings: [String]
    /// How many processes there are; nil where the images cannot be read.
    public private(set) var processes: Int?
    /// The host of the dump and its kernel; nil where the images do not say.
    public private(set) var origin: String?

    /// The addresses that TCP connections lead from, which this host has to have.
    public private(set) var addresses: [String] = []

    /// Asks everything that a restore with these options would ask, and makes nothing.
    ///
    /// - Parameter name: what the images are called; their directory where nothing is said.
    public init(_ options: RestoreOptions, named name: String? = nil) {
        directory = name ?? options.imagesDirectory.string
        do {
            let isElsewhere = options.pidPolicy == .newNamespace
            let preflight = try Preflight(
                options, seesPids: !isElsewhere, seesOutside: !isElsewhere && !options.isInside)
            defer { preflight.contents.abandon() }
            var found = preflight.problems
            do throws(Problem) { try preflight.contents.finish() } catch { found.append(error) }
            problems = found + Self.kernel
            warnings = preflight.warnings
            processes = preflight.images.tasks.count
            if options.tcpEstablished && !options.tcpClose {
                addresses = InetSocketEnd.connectionAddresses(preflight.plan.openings.map(\.resource))
            }
            origin = preflight.images.manifest?.host.map {
                "\($0.node), \($0.distribution.isEmpty ? "Linux" : $0.distribution), kernel \($0.kernel)"
            }
        } catch {
            switch error {
            case let several as Problems: problems = several.all
            case let one as Problem: problems = [one]
            default:
                problems = [Problem(.hostUnknown, "the check failed: \(error)", remedy: "Report this")]
            }
            warnings = []
        }
    }

    /// What no restore works without.
    private static var kernel: [Problem] {
        KernelFeature.all.filter(\.isRequired).compactMap { feature in
            switch feature.probe() {
            case .present: nil
            case .missing(let reason, let cost):
                Problem(.hostUnlike, "the kernel has no \(feature.name): \(reason)", remedy: "What that costs: \(cost)")
            case .cannotTell(let reason):
                Problem(
                    .hostUnlike, "whether the kernel has \(feature.name) cannot be told: \(reason)",
                    remedy: "Run Apus as root")
            }
        }
    }
}
