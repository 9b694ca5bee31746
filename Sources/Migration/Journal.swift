public import Diagnostics
internal import Images
internal import Linux
public import SystemPackage

/// What a host remembers of trees that were about to leave it or to arrive, so that the question can be settled after a crash.
///
/// One file for each migration, `STATE/departures/UUID.json` and `STATE/arrivals/UUID.json`. The source's is written before it tells the destination to
/// release the tree, and removed when the answer has come. The destination's is written before the tree runs, and stays
/// for good: the source may ask.
public struct Journal: Sendable {
    private let directory: FilePath

    /// Whether a host is left or reached.
    public enum Side: String, Sendable { case departures, arrivals }

    /// - Parameter state: where Apus keeps such things, `/var/lib/apus` usually.
    public init(of side: Side, in state: FilePath) { directory = state.appending(side.rawValue) }

    /// A record.
    public struct Record: Sendable, Equatable {
        /// What is known.
        public enum State: String, Sendable {
            /// The source has told the destination to release the tree, and has not heard.
            case asked
            /// The destination is about to release it.
            case releasing
            /// It has.
            case released
            /// It never will: the source has asked, and was told so.
            case aborted
            /// The destination has released it, and pages of its memory have yet to come.
            case partial
            /// It ran at the destination, and was ended there before its memory had come.
            case lost
        }

        public let uuid: String
        public let state: State
        /// The root of the tree.
        public let pid: Int32
        /// The processes, by pid, with the times of their starts (proc_pid_stat(5)), by which they are recognised.
        public let processes: [(pid: Int32, start: UInt64)]
        /// Where it goes, as it was given on the command line; at the destination where it comes from.
        public let peer: String
        /// How the other side is reached: the arguments of the program.
        public let command: [String]
        /// Addresses that move with the tree: what the source takes from its devices, what the destination puts on its own.
        public let addresses: JSON
        /// Some of its pages follow when it runs.
        public let isLate: Bool
        /// The pid namespace in which the processes have these pids (``PidNamespaceMark``); empty where nobody noted it.
        public let pidNamespace: String
        /// The run of the kernel in which they were (``HostBoot/mark``); empty where nobody noted it.
        public let boot: String

        public static func == (one: Record, other: Record) -> Bool { one.json == other.json }

        public init(
            uuid: String, state: State, pid: Int32, processes: [(pid: Int32, start: UInt64)], peer: String,
            command: [String], addresses: JSON = [], isLate: Bool = false, pidNamespace: String = "",
            boot: String? = nil
        ) {
            (self.pidNamespace, self.boot) = (pidNamespace, boot ?? HostBoot.mark)
            (self.uuid, self.state, self.pid, self.processes) = (uuid, state, pid, processes)
            (self.peer, self.command, self.addresses) = (peer, command, addresses)
            self.isLate = isLate
        }

        var json: JSON {
            [
                "uuid": .string(uuid), "state": .string(state.rawValue), "pid": .integer(Int64(pid)),
                "processes": .array(
                    processes.map { ["pid": .integer(Int64($0.pid)), "start": .unsigned($0.start)] }),
                "peer": .string(peer), "command": .array(command.map { .string($0) }),
                "addresses": addresses, "late": .bool(isLate), "pid-namespace": .string(pidNamespace),
                "boot": .string(boot),
            ]
        }

        /// The processes, as far as they may be there yet: after another start of the host, others have their pids.
        var candidates: [(pid: Int32, start: UInt64)] { isOfThisBoot ? processes : [] }

        /// The host has not been started anew since.
        var isOfThisBoot: Bool { boot.isEmpty || boot == HostBoot.mark }

        init?(_ json: JSON) {
            guard let uuid = json["uuid"]?.string, let state = json["state"]?.string.flatMap(State.init(rawValue:)),
                let pid = json["pid"]?.bits.flatMap({ Int32(exactly: $0) }), let peer = json["peer"]?.string
            else { return nil }
            let processes = (json["processes"]?.elements ?? []).compactMap { (one) -> (pid: Int32, start: UInt64)? in
                guard let pid = one["pid"]?.bits.flatMap({ Int32(exactly: $0) }), let start = one["start"]?.bits else {
                    return nil
                }
                return (pid, start)
            }
            self.init(
                uuid: uuid, state: state, pid: pid, processes: processes, peer: peer, command: json.texts("command"),
                addresses: json["addresses"] ?? [], isLate: json["late"]?.isTrue ?? false,
                pidNamespace: json["pid-namespace"]?.string ?? "",
                boot: json["boot"]?.string ?? "")
        }
    }

    /// A record that was written, for the one change that must be quick.
    final class Entry: Sendable {
        private let file: OwnedDescriptor
        private let place: UInt64?

        fileprivate init(_ file: consuming OwnedDescriptor, _ text: [UInt8]) {
            self.file = file
            let old = Array("\"\(Record.State.releasing.rawValue)\"".utf8)
            place = text.indices.first { text[$0...].starts(with: old) }.map { UInt64($0) }
        }

        /// Turns `releasing` into `released` or `partial`, which are shorter, by one small write.
        func set(_ state: Record.State) {
            guard let place else { return }
            let room = Record.State.releasing.rawValue.utf8.count
            let padding = String(repeating: " ", count: max(room - state.rawValue.utf8.count, 0))
            try? Files.write(file.raw, Array("\"\(state.rawValue)\"\(padding)".utf8), at: place)
        }
    }

    /// Writes a record so that it survives a crash of the machine.
    ///
    /// - Throws: `state-unwritable`.
    @discardableResult
    func write(_ record: Record) throws(Problem) -> Entry {
        let name = FilePath(record.uuid + ".json")
        let temporary = FilePath(record.uuid + ".tmp")
        do throws(Errno) {
            try makeDirectories()
            let folder = try Files.open(directory, [.readOnly, .directory])
            let file = try Files.open(temporary, [.writeOnly, .create, .truncate], mode: 0o600, at: folder.raw)
            let text = Array((record.json.text() + "\n").utf8)
            try Files.write(file.raw, text)
            try Files.sync(file.raw)
            try Files.rename(directory.appending(temporary.components), to: directory.appending(name.components))
            try Files.sync(folder.raw)
            return Entry(file, text)
        } catch {
            throw Problem(
                .stateUnwritable, "what is known of the migration cannot be written down",
                object: .init(path: directory.string), cause: .init(error, attempted: "open, write, rename"),
                remedy: "Make room there, or name another directory with --state-dir")
        }
    }

    private func makeDirectories() throws(Errno) {
        for place in [directory.removingLastComponent(), directory] {
            do throws(Errno) { try Files.makeDirectory(place, mode: 0o700) } catch {
                if error != .fileExists { throw error }
            }
        }
    }

    /// Keeps others from deciding about a migration, for as long as it lives.
    final class Lock: Sendable {
        private let file: OwnedDescriptor
        fileprivate init(_ file: consuming OwnedDescriptor) { self.file = file }
    }

    /// Locks a record (flock(2)).
    ///
    /// - Parameter waits: until nobody else has it.
    /// - Returns: nil where somebody else has it, and it was not to be waited for.
    /// - Throws: `state-unwritable`.
    func lock(_ uuid: String, waits: Bool = true) throws(Problem) -> Lock? {
        do throws(Errno) {
            try makeDirectories()
            let file = try Files.open(
                directory.appending(uuid + ".lock"), [.readWrite, .create, .noFollow], mode: 0o600)
            try Files.lock(file.raw, .exclusive, waits: waits)
            return Lock(file)
        } catch .wouldBlock where !waits {
            return nil
        } catch {
            throw Problem(
                .stateUnwritable, "the record of a migration cannot be locked",
                object: .init(path: directory.string), cause: .init(error, attempted: "flock"),
                remedy: "Run Apus as root, or name another directory with --state-dir")
        }
    }

    /// Says by a lock of its own that somebody serves the pages of a tree that runs already (flock(2)); it lasts as long as
    /// any copy of the descriptor.
    ///
    /// - Throws: `state-unwritable`: somebody else has it.
    func serve(_ uuid: String) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            try makeDirectories()
            let file = try Files.open(
                directory.appending(uuid + ".serving"), [.readWrite, .create, .noFollow], mode: 0o600)
            try Files.lock(file.raw, .exclusive, waits: false)
            return file
        } catch {
            throw Problem(
                .stateUnwritable, "the record of a migration cannot be locked",
                object: .init(path: directory.string), cause: .init(error, attempted: "flock"),
                remedy: "Run Apus as root, or name another directory with --state-dir")
        }
    }

    /// Whether somebody serves the pages of a tree, or is about to end it.
    func isServed(_ uuid: String) -> Bool {
        let place = directory.appending(uuid + ".serving")
        guard let file = try? Files.open(place, [.readWrite, .noFollow]) else { return false }
        do throws(Errno) {
            try Files.lock(file.raw, .exclusive, waits: false)
            return false
        } catch {
            return true
        }
    }

    /// Removes what was there while somebody served the pages of a tree.
    func removeServing(_ uuid: String) {
        for end in [".serving", ".socket"] { try? Files.remove(directory.appending(uuid + end)) }
    }

    /// Removes a record.
    public func remove(_ uuid: String) {
        guard Self.isName(uuid) else { return }
        try? Files.remove(directory.appending(uuid + ".json"))
        try? Files.remove(directory.appending(uuid + ".lock"))
    }

    /// A record; nil where there is none.
    ///
    /// - Throws: `state-unreadable`: what cannot be read is not taken for absent, as the fate of a tree hangs on it.
    public func record(_ uuid: String) throws(Problem) -> Record? {
        guard Self.isName(uuid) else { return nil }
        let file = directory.appending(uuid + ".json")
        let text: [UInt8]
        do throws(Errno) { text = try Files.contents(of: file) } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            throw Self.unreadable(file, error, "open, read")
        }
        guard let record = JSON(parsing: text).flatMap({ Record($0) }) else { throw Self.unreadable(file) }
        return record
    }

    /// All records.
    ///
    /// - Throws: `state-unreadable`.
    public func records() throws(Problem) -> [Record] {
        let names: [String]
        do throws(Errno) {
            names = try Files.entries(of: directory).map { String(decoding: $0.name, as: UTF8.self) }
        } catch .noSuchFileOrDirectory {
            return []
        } catch {
            throw Self.unreadable(directory, error, "getdents64")
        }
        var found: [Record] = []
        for name in names.sorted() where name.hasSuffix(".json") {
            if let one = try record(String(name.dropLast(5))) { found.append(one) }
        }
        return found
    }

    private static func unreadable(_ path: FilePath, _ error: Errno? = nil, _ attempted: String = "") -> Problem {
        Problem(
            .stateUnreadable, "what is known of a migration cannot be read", object: .init(path: path.string),
            cause: error.map { .init($0, attempted: attempted) },
            remedy: "Look after the disk or the network file system, and try again")
    }

    /// Whether it can be the name of a migration: it comes from another host, and becomes the name of a file.
    static func isName(_ text: String) -> Bool {
        text.utf8.count == 36
            && text.unicodeScalars.allSatisfy { ("a"..."f").contains($0) || ("0"..."9").contains($0) || $0 == "-" }
    }
}

extension Problem.Code {
    /// Apus cannot write down what it must remember.
    public static let stateUnwritable: Self = "state-unwritable"
    /// What Apus has written down cannot be read.
    static let stateUnreadable: Self = "state-unreadable"
}
