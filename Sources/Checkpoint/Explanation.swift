public import Diagnostics

/// What a tree holds, and what a dump of it would come to: nothing was stopped to find out.
public struct Explanation: Sendable {
    /// Something that stands in the way of a dump.
    public struct Obstacle: Sendable {
        public let problem: Problem
        /// The option with which it no longer does, as it is written on the command line; nil where there is none.
        public let settledBy: String?
    }

    /// Something that can stop a dump and shows only when the tree stands still.
    public struct Doubt: Sendable {
        /// The end of a sentence that begins with "whether".
        public let text: String
        /// What it concerns; empty for every process.
        public let objects: [Problem.Object]
    }

    /// Something that a restored process would be without.
    public struct Loss: Sendable {
        public let object: Problem.Object
        public let text: String
    }

    /// The root first, parents before their children.
    public let processes: [HeldByProcess]
    public let obstacles: [Obstacle]
    public let doubts: [Doubt]
    public let losses: [Loss]
    /// The options that together leave nothing in the way; empty where nothing is, or something would remain.
    public let remedy: [String]
    /// The addresses that its established TCP connections lead from: a host that restores them has to have these.
    public let addresses: [String]
    /// What of `--external` names nothing in the tree.
    public let uselessKeys: [String]

    /// Nothing is known that would stop the dump.
    public var wouldBeDumped: Bool { obstacles.isEmpty }
}

/// What one process of a tree holds.
public struct HeldByProcess: Sendable {
    /// Memory of one kind.
    public struct Memory: Sendable {
        /// What people call the kind.
        public let kind: String
        public internal(set) var mappings = 0
        /// In bytes: what is mapped, what of it has pages of its own that a dump stores (in memory or swapped out).
        public internal(set) var mapped: UInt64 = 0
        public internal(set) var own: UInt64 = 0
    }

    /// One descriptor.
    public struct Descriptor: Sendable {
        public let number: Int32
        /// What people call the kind.
        public let kind: String
        /// The text of `/proc/PID/fd/N`, for people.
        public let name: String
    }

    public let pid: Int32
    public let parent: Int32
    public let name: String
    /// The command line, for people; empty where the process has none.
    public let command: String
    /// `running`, `sleeping`, `waiting in the kernel`, `stopped`, `ended` ...
    public let state: String
    public let threads: Int
    /// In the order in which they are first met.
    public let memory: [Memory]
    public let descriptors: [Descriptor]
    /// Timers of timer_create(2).
    public let timers: Int
    /// Locks that its descriptors show.
    public let locks: Int
    /// The name of its controlling terminal; nil where it has none.
    public let terminal: String?
}
