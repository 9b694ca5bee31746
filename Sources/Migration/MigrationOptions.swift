public import Checkpoint
public import SystemPackage

/// What the user asked of a migration, already validated.
public struct MigrationOptions: Sendable {
    /// How the tree is dumped: the root, and what may be carried. Where the images go is not asked.
    public var dump: DumpOptions
    /// How the other host is called, for messages.
    public var host: String
    /// The program that reaches `apus receive --stdio` there, with its arguments, and speaks with it over its standard input
    /// and output.
    public var command: [String]
    /// `--ship`: files that differ there, or are not there, are taken along.
    public var ships = true
    /// `--downtime-limit`: for how long the tree may stand still, in milliseconds. Memory is sent in rounds until that can be
    /// kept, or cannot be had.
    public var downtimeLimit: UInt64 = 300
    /// How often memory is sent while the tree runs, at the most; 0 sends all of it while it stands still.
    public var mostRounds = 30
    /// `--max-bandwidth`: how many bytes are sent for memory each second while the tree runs, at the most; nil for as many as
    /// can be. When the tree stands still, nothing is held back.
    public var bandwidth: UInt64?
    /// `--compress`: how memory and files are compressed on their way.
    public var compression = SendCompression.auto
    /// `--channels`: over how many connections memory is sent.
    public var channels = 1
    /// `--throttle`: a tree that writes faster than can be sent is slowed while its memory is sent.
    public var throttles = false
    /// `--postcopy`: whether what is left of the memory may follow when the tree runs on the other host already.
    public var postcopy = Postcopy.never
    /// `--keep-original`: the original stays, stopped, when the tree runs on the other host.
    public var keeps = false
    /// `--overwrite-files`: files that the tree writes to are replaced there by the copies that are taken along.
    public var overwritesFiles = false
    /// `--detach`, `--attach`: what becomes of a terminal from outside that the tree uses.
    public var terminal = TerminalMove.stays
    /// `--move-address`: addresses of IP that move with the tree.
    public var addresses: [MovedAddress] = []
    /// `--file`, as they were given.
    public var fileRules: [String] = []
    /// The processor there has to have the instructions of the one here; not with `--cpu-cap none`.
    public var comparesProcessors = true
    /// `--pid-policy new-namespace`: the tree gets a pid namespace of its own there.
    public var hasOwnPids = false
    /// The monotonic clocks of the tree go on where they were.
    public var continuesClocks = false
    /// Where Apus keeps what must survive a crash.
    public var stateDirectory: FilePath
    /// For how long the question what has become of the tree is asked again and again, in seconds.
    public var settlingTime = 30
    /// Told how it goes.
    public var told: @Sendable (MigrationEvent) -> Void = { _ in }

    /// When memory follows.
    public enum Postcopy: String, Sendable, CaseIterable {
        case never
        /// Where the pause would be longer than `downtimeLimit` otherwise.
        case auto
        /// After one round at the most.
        case always
    }

    public init(dump: DumpOptions, host: String, command: [String], stateDirectory: FilePath) {
        self.dump = dump
        self.host = host
        self.command = command
        self.stateDirectory = stateDirectory
    }
}

/// What becomes of a terminal that is not part of a tree that moves.
public enum TerminalMove: Sendable, Equatable {
    /// A tree that uses one is refused.
    case stays
    /// Another takes its place there.
    case detaches
    /// The same, and there has to be one: somebody is to be joined to it.
    case attaches
}

/// How a migration goes.
public enum MigrationEvent: Sendable, Equatable {
    /// The other host has been reached; how it is called itself, and its kernel.
    case reached(node: String, kernel: String)
    /// The other host could take the tree. How long it stood still to be looked at, in nanoseconds.
    case judged(frozen: UInt64, warnings: [String])
    /// A round of memory has been sent while the tree ran. When it will run on the other host, from then on, in nanoseconds.
    case round(MigrationSummary.Round, predictedPause: UInt64, left: UInt64)
    /// The tree is being slowed: it stands still for that share of the time.
    case slowed(share: Double)
    /// Memory is being sent.
    case carried(CarriedSoFar)
    /// The tree is being stopped for the last part.
    case stopping
    /// The tree runs on the other host, and so many bytes of its memory follow.
    case released(late: UInt64)
    /// How much of that has been sent.
    case follows(done: UInt64, of: UInt64)
    /// The tree runs on the other host.
    case arrived(MigrationSummary)
}

/// How far the sending of memory has come while the tree runs. Sizes are in bytes.
public struct CarriedSoFar: Sendable, Equatable {
    /// The number of the round that goes on.
    public let round: Int
    /// How much of it has been sent, and of how much.
    public let done, size: UInt64
    /// How much has been sent in all.
    public let all: UInt64
    /// When the tree will run on the other host, as foreseen, in nanoseconds from now; nil where nothing is known yet.
    public let left: UInt64?

    init(round: Int, done: UInt64, of size: UInt64, all: UInt64, left: UInt64?) {
        (self.round, self.done, self.size, self.all, self.left) = (round, done, size, all, left)
    }
}

/// What a migration came to. Times are in nanoseconds, sizes in bytes.
public struct MigrationSummary: Sendable, Equatable {
    /// Memory that was sent while the tree ran.
    public struct Round: Sendable, Equatable {
        public var number: Int
        public var size: UInt64
        public var time: UInt64
    }

    /// What went through one way of compression.
    public struct Way: Sendable, Equatable {
        /// As `--compress` has it.
        public var name: String
        /// Bytes before, and on the wire.
        public var content: UInt64
        public var carried: UInt64
    }

    /// Memory that followed when the tree ran on the other host already.
    public struct Late: Sendable, Equatable {
        public var size: UInt64
        /// From the moment in which it was known to run there until all was there.
        public var time: UInt64
        /// How often somebody waited there for a page that had not come, and for how long in the middle.
        public var faults: UInt64
        public var medianWait: UInt64
    }

    public var rounds: [Round] = []
    /// From the start to the end of the program's work.
    public var total: UInt64 = 0
    /// From the moment in which the tree stood still here to the one in which it was known to run there.
    public var pause: UInt64 = 0
    /// For how long it stood still before that, to be looked at.
    public var rehearsal: UInt64 = 0
    /// Memory that was sent while the tree stood still.
    public var lastSize: UInt64 = 0
    /// From the standstill until everything had been sent and the tree was built there.
    public var untilReady: UInt64 = 0
    /// Over how many connections memory was sent.
    public var channels = 1
    /// What followed when it ran there; nil where nothing did.
    public var late: Late?
    /// All bytes that went over the connections.
    public var sent: UInt64 = 0
    /// Memory that was sent in all, and how much of it was pages of zeros, which take no bytes.
    public var memory: UInt64 = 0, zeros: UInt64 = 0
    /// For how long the tree was made to stand still, in slices, so that it writes less; and for what share of the time at the most.
    public var slowed: UInt64 = 0, slowedShare = 0.0
    /// How the other pages were compressed, by the name of the way.
    public var ways: [Way] = []
    /// Addresses of IP that the other host has now.
    public var addresses: [String] = []
    /// The root of the original, which stays here, stopped; nil where it has ended.
    public var keptOriginal: Int32?
    /// The tree has a pid namespace of its own there.
    public var hasOwnPids = false
    /// The init of that namespace, as it is seen from outside; nil where the other host has not told.
    public var namespaceInit: Int32?
    /// The name of the terminal there that has taken the place of one outside (`apus attach`); nil where none has.
    public var terminal: String?

    public init() {}
}
