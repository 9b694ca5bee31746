/// How a tree of processes can be made again: who makes whom, in which session, and which helpers it takes where
/// leaders of sessions and process groups have gone.
///
/// A process gets its session at birth, from its maker, and has that one or one that it begins itself, whose number is
/// its own pid (setsid(2)). So whoever is in a session descends from its leader by birth. Who its parent is now is
/// another matter: an orphan is given to the nearest ancestor that is a child subreaper (PR_SET_CHILD_SUBREAPER), or to
/// the init of its pid namespace. The tree that a dump sees holds the result only; from it a history is invented that
/// leads to the same result:
///
/// - A child that is in a session that its parent is in, or was in before it began its own, is made by its parent.
/// - A session whose leader has gone is begun by a *helper* with the leader's pid, which the parent makes. It makes its
///   members as its siblings (CLONE_PARENT), ends when all is in its place, and is waited for by the parent.
/// - A member of a session whose leader lives further down is an orphan that its parent has adopted: the leader makes a
///   *courier*, the courier the member; the parent becomes a child subreaper for that moment, and the courier ends.
/// - A process group whose leader has gone is begun by a helper as well, until its members have joined.
///
/// Pure: it is asked by the dump before anything is frozen, and by the restore before anything is made.
public struct Family: Sendable {
    /// The session and the process group of whoever restores, in place of ones outside of the tree.
    public static let callers: Int32 = -1

    /// What is known of a process.
    public struct Member: Sendable, Hashable {
        public var pid: Int32
        /// Not in the tree for the root.
        public var parent: Int32
        /// The process group and the session: pids of members, pids of leaders that have gone, or `callers`.
        public var group, session: Int32
        /// A zombie.
        public var hasEnded: Bool

        public init(pid: Int32, parent: Int32, group: Int32, session: Int32, hasEnded: Bool = false) {
            self.pid = pid
            self.parent = parent
            self.group = group
            self.session = session
            self.hasEnded = hasEnded
        }
    }

    public enum Role: Sendable, Hashable {
        case member
        /// Begins a session, or a process group, in place of a leader that has gone; ends when all have joined.
        case leader
        /// Makes orphans and ends, so that they are adopted.
        case courier
    }

    /// A process to make. The members come first, in their order.
    public struct Process: Sendable, Hashable {
        public var role: Role
        /// nil for a courier, which takes any that is free.
        public var pid: Int32?
        /// Whose child it is once all is in its place; nil for a child of whoever restores. It waits for a helper.
        public var parent: Int?
        /// Who makes it; nil for whoever restores.
        public var maker: Int?
        /// It is made as a sibling of its maker (CLONE_PARENT).
        public var isSibling = false
        /// Whom it makes before it begins its session, and then.
        public var early: [Int] = []
        public var late: [Int] = []
        public var beginsSession = false
        /// It begins a process group in the session that it was made in.
        public var beginsGroup = false
        /// The group to join when all groups have begun; nil for a helper and for the leader of a session.
        public var group: Int32?
        /// It leads the group that others join, and is itself in another: it joins when they have.
        public var joinsLast = false
    }

    /// A moment at which a process adopts orphans.
    public struct Adoption: Sendable, Hashable {
        public var adopter: Int
        /// The couriers that end.
        public var couriers: [Int]
    }

    /// A process that cannot be placed, and why.
    public struct Misfit: Sendable, Hashable {
        public var pid: Int32
        /// As the end of a sentence about the process: "it is in session 5, ...".
        public var reason: String
    }

    public internal(set) var processes: [Process]
    /// Whom whoever restores makes: the root, or a helper that makes the root.
    public internal(set) var first: Int
    /// In this order, before groups are joined.
    public internal(set) var adoptions: [Adoption]

    /// Nobody.
    public init() {
        processes = []
        first = 0
        adoptions = []
    }
}
