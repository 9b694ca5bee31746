/// What Apus can be told to do: CRIU's verbs and Apus's own.
public enum Verb: String, CaseIterable, Sendable {
    case dump
    case preDump = "pre-dump"
    case restore
    case check
    case pageServer = "page-server"
    case lazyPages = "lazy-pages"
    case dedup
    case service
    case swrk
    case cpuinfo
    case exec
    case show
    case migrate
    case receive
    case run
    case explain
    case gc
    case recover
    case attach

    /// Whether this version can do it. One that it cannot do says so and exits with 1.
    public var isBuilt: Bool {
        switch self {
        case .dump, .restore, .check, .show, .explain, .gc, .run, .migrate, .receive, .recover, .attach: true
        case .preDump, .pageServer, .lazyPages, .dedup, .service, .swrk, .cpuinfo, .exec: false
        }
    }

    /// What the verb does, for a table of verbs.
    public var summary: String {
        switch self {
        case .dump: "Write a process tree to image files"
        case .preDump: "Write the memory of a process tree ahead of its dump"
        case .restore: "Bring a process tree back from image files"
        case .check: "Say what this kernel can do, or whether images can be restored here"
        case .pageServer: "Receive memory pages from another host"
        case .lazyPages: "Serve memory pages to a restored tree as it asks for them"
        case .dedup: "Remove memory pages from a parent image directory that its child has again"
        case .service: "Listen for requests on a socket"
        case .swrk: "Take one request from an inherited socket"
        case .cpuinfo: "Write or compare what this processor can do"
        case .exec: "Run a system call in another process"
        case .show: "Say what is in an image directory"
        case .migrate: "Move a running process tree to another host"
        case .receive: "Take process trees from other hosts"
        case .run: "Start a program so that it can be moved easily"
        case .gc: "Remove copies of files that no restored process uses any more"
        case .explain: "Say what a process tree holds and whether it could be dumped"
        case .attach: "Join the terminal of a tree that has come here with --detach or --attach"
        case .recover: "Settle migrations that ended in doubt; list and remove locks of the network"
        }
    }

    /// Several verbs.
    public struct Selection: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        init(_ verbs: Verb...) { self.init(rawValue: verbs.reduce(0) { $0 | $1.bit }) }

        /// Every verb.
        public static let all = Selection(rawValue: .max)

        /// Whether the verb is among them.
        public func covers(_ verb: Verb) -> Bool { rawValue & verb.bit != 0 }
    }

    private var bit: UInt32 {
        switch self {
        case .dump: 1 << 0
        case .preDump: 1 << 1
        case .restore: 1 << 2
        case .check: 1 << 3
        case .pageServer: 1 << 4
        case .lazyPages: 1 << 5
        case .dedup: 1 << 6
        case .service: 1 << 7
        case .swrk: 1 << 8
        case .cpuinfo: 1 << 9
        case .exec: 1 << 10
        case .show: 1 << 11
        case .migrate: 1 << 12
        case .receive: 1 << 13
        case .run: 1 << 14
        case .explain: 1 << 15
        case .gc: 1 << 16
        case .recover: 1 << 17
        case .attach: 1 << 18
        }
    }
}
