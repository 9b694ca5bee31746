public import Images
public import Objects
public import Tracing

public import struct Linux.SystemCallDispatch

/// Everything that a restore will do, decided before anything is made: which task makes which, what Apus opens, and
/// which system calls each thread makes at each barrier.
///
/// A plan is a value. It depends on the images and on facts of the host that were looked up beforehand, and has no
/// effect of its own. `description` prints it.
public struct RestorePlan: Sendable {
    /// What Apus opens, each under the number at which the tree inherits it.
    public var openings: [Opening] = []
    /// How many requests of asynchronous I/O its rings announce, which count against `fs.aio-max-nr`.
    public var asyncRequests: UInt64 = 0
    /// The tasks, as in the images, the root first; behind them the helpers, which are gone when the tree is released.
    public var tasks: [Task] = []
    /// The index in `tasks` of the process that Apus makes: the root, or a helper that makes the root.
    public var first = 0
    /// How orphans come to the processes that had adopted them, in this order.
    public var adoptions: [Adoption] = []
    /// Tables of descriptors that several processes share, filled when all are rebuilt.
    public var tables: [SharedTable] = []
    /// Leases that tasks have taken again.
    public var leases: [Lease] = []
    /// Where Apus' own things are mapped in every task while it is rebuilt.
    public var area: Area
    /// The shared memory of Apus and all tasks, behind the interpreter's page.
    public var mailboxSize = 0
    /// How much of it the batches take.
    var mailboxEnd = 64
    /// The number under which the tree has the mailbox's file.
    public var mailboxDescriptor: Int32 = 0
    /// How high Apus' limit of open files has to be (RLIMIT_NOFILE).
    public var descriptorLimit: UInt64 = 0
    /// The foreground process group that the terminal is given, a member of the tree.
    public var foreground: Int32?
    /// What this host cannot give as it was, in words.
    public var notes: [String] = []
    /// The monotonic clocks that the tree goes on with; nil for those of the host.
    public var clocks: Clocks?
    /// Mappings in which pages follow when the tree runs, by process, and the number under which the tasks have the socket for them.
    var lateMappings: [Int32: [Range<UInt64>]] = [:]
    var lateSocket: Int32?
    /// What keeps the network from the connections of the tree since the dump.
    public var networkLock: String?
    /// Terminal settings to put into force.
    public var terminals: [Terminal] = []
    /// The same of those that are given in place of what the dump left outside, by their keys.
    public var givenTerminals: [String: TtyInfoEntry] = [:]

    public init(area: Area) { self.area = area }

    /// One thing to open.
    public struct Opening: Sendable {
        public var descriptor: Int32
        public var resource: any Resource
        /// To whom the description sends signals.
        public var owner: FownEntry?
        /// Opened when all processes have been made, and fetched by those that need it.
        public var isLate: Bool { resource.needsProcesses }
        /// The id of the description in the images, where it is one.
        public var id: UInt32?
    }

    /// A lease that a task has taken again, by the number under which Apus has the description.
    public struct Lease: Sendable, Equatable {
        public var descriptor: Int32
        /// For what somebody had asked for it at the dump; nil where nobody had.
        public var asked: Asking?

        public enum Asking: Sendable {
            case toRead, toWrite
        }
    }

    /// What the clocks showed at the dump, in nanoseconds.
    public struct Clocks: Sendable, Equatable {
        public var monotonic, bootTime: UInt64

        public init(monotonic: UInt64, bootTime: UInt64) {
            self.monotonic = monotonic
            self.bootTime = bootTime
        }
    }

    /// A terminal whose settings come from the images.
    public struct Terminal: Sendable {
        public var descriptor: Int32
        public var info: TtyInfoEntry
    }

    /// A moment at which a process adopts orphans.
    public struct Adoption: Sendable {
        /// Indices in `tasks`: who adopts, and who ends.
        public var adopter: Int
        public var couriers: [Int]
        public var begin, end: PlacedBatch
    }

    /// A table of descriptors that several processes share.
    public struct SharedTable: Sendable {
        /// The index in `tasks` of the one that fills it.
        public var owner: Int
        public var filling: PlacedBatch
    }

    /// One process.
    public struct Task: Sendable {
        public var pid: Int32
        /// The index in `tasks` of the parent that it has in the end; nil for the root.
        public var parent: Int?
        /// The index in `tasks` of who makes it; nil for Apus.
        public var maker: Int?
        /// What it shares with its maker as threads do, in words.
        public var sharedWithMaker: [String] = []
        /// It is not in the images, and ends when it has done what it is for (`Family`): a courier before all are
        /// rebuilt, the others after.
        public var isHelper = false
        public var isCourier = false
        /// It has ended, in another process group than the one that it had begun: others join that one first.
        public var endsLast = false
        public var name: String
        public var state: TaskState
        /// The task's end of its channel, a service descriptor.
        public var channel: Int32
        /// Where the number of that descriptor stands in the mailbox, and the count of threads yet to leave, which tasks
        /// with one memory have in common.
        public var channelPlace: Int
        public var usersPlace: Int
        /// Threads, the leader first.
        public var threads: [Thread]
        /// Makes the children, in the right session.
        public var family: PlacedBatch
        /// Joins the group; rebuilds memory, descriptors and whatever threads share.
        public var rebuild: PlacedBatch
        /// What has to come last: threads, timers, credentials, signals.
        public var finish: PlacedBatch
        /// Run when the task is let go.
        public var cleanup: PlacedBatch
        /// It was stopped at the dump, or shall be after the restore.
        public var staysStopped = false
        /// Some of its threads run under seccomp: Apus suspends the filters until the program itself runs.
        public var isUnderSeccomp = false
        /// The first thread had ended while others lived: it makes them, and ends again.
        public var leaderEnds = false
        /// Makes the threads, where they cannot do all their work at once (`goesStepwise`).
        public var threadMaking = PlacedBatch()
        /// The filters that all its threads have in common: installed by one of them for all.
        public var sharedFilters = PlacedBatch()
        /// What is written from outside once the task exists.
        public var outOfMemoryAdjustment: Int32
        /// What goes into its core dumps (core(5)); nil where the images do not say.
        public var coreDumpFilter: UInt32?
        /// The nice value of its autogroup (sched(7)); nil for the usual one.
        public var autogroupNice: Int32?

        /// Its threads wait once they are made, and are told one by one to go on: filters must not come before Apus has
        /// suspended them, nor children set parent-death signals before a first thread that ends has ended.
        public var goesStepwise: Bool { threads.count > 1 && (isUnderSeccomp || leaderEnds) }

        /// The index of the first thread that lives on: it speaks for the process once all are made.
        public var firstLasting: Int { leaderEnds ? 1 : 0 }

        /// The threads that the restored process has.
        public var lastingThreads: ArraySlice<Thread> { threads[firstLasting...] }
    }

    /// One thread.
    public struct Thread: Sendable {
        public var tid: Int32
        /// Where its control block stands in the mailbox.
        public var controlPlace: Int
        /// The first batch of a thread that is not the leader.
        public var batch: PlacedBatch
        /// How it leaves.
        public var frame: RemoteAddress
        public var leave: RemoteAddress
        /// What is left of the wait that it was in.
        public var wait: InterruptedWait?
        /// How it has its system calls dispatched to itself, once it has left.
        public var dispatch: SystemCallDispatch?
    }

    /// A batch and its place in the mailbox.
    public struct PlacedBatch: Sendable {
        public var batch: Batch
        public var place: Int
        public init(_ batch: Batch = Batch(), at place: Int = 0) {
            self.batch = batch
            self.place = place
        }
    }

    /// The addresses of Apus' things: a hole in the final layout of every task.
    public struct Area: Sendable, Equatable {
        /// How much of the area the husk and the parked vdso take.
        static let prelude: Int = 0x20000
        public let base: RemoteAddress
        /// The husk's page, which goes at once.
        public var husk: RemoteAddress { base }
        /// Where vdso and vvar wait for their final place.
        public var parking: RemoteAddress { base + 0x1000 }
        /// The interpreter's page.
        public var code: RemoteAddress { base + Area.prelude }
        /// The mailbox.
        public var mailbox: RemoteAddress { code + 0x1000 }
        public init(base: RemoteAddress) { self.base = base }
    }

    /// The commit word: the first word of the mailbox.
    public static let commitPlace = 0

    /// All batches of a task with what they are for.
    public static let barriers = ["family", "rebuild", "finish"]
}
