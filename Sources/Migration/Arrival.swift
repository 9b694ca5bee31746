internal import Diagnostics
internal import Images
internal import Linux
public import Logging
internal import Restore
public import SystemPackage
internal import Terminals

/// A tree arrives from another host.
public enum Arrival {
    /// What the administrator of the destination has asked for.
    public struct Options: Sendable {
        /// Where Apus keeps what outlives a run.
        public var stateDirectory: FilePath
        /// Where frames come from and go to.
        public var (input, output): (Int32, Int32) = (0, 1)
        /// The program that goes on where this one has heard that a terminal comes with the tree: see `KeeperProcess`.
        public var receiver: [String] = []
        /// The program that goes on where the tree is to have a pid namespace of its own: see `NamespaceInit`.
        public var initial: [String] = []
        /// Which of these programs this is.
        public var role = Role.first

        /// What a program has to do with a tree that comes.
        public enum Role: Sendable {
            /// It hears what comes.
            case first
            /// It takes a tree whose terminal is kept.
            case receiver
            /// It takes a tree as the init of a pid namespace.
            case initial
        }

        public init(stateDirectory: FilePath) { self.stateDirectory = stateDirectory }
    }

    /// Serves one connection: takes one tree, or answers one question.
    ///
    /// - Returns: the exit status: 0 where the tree runs, or the question was answered.
    /// - Throws: `protocol`, `connection-lost` and others, where nobody can be told.
    public static func serve(_ options: Options, logger: Logger) throws -> Int32 {
        let wire = try takeOver(options)
        guard let first = try first(options, wire) else { return 0 }
        guard let hello = JSON(parsing: first.body), let uuid = hello["uuid"]?.string, Journal.isName(uuid) else {
            throw BodyReader.malformed
        }
        switch first.kind {
        case .question:
            try wire.send(.fate, ["state": .string(Verdicts(options).decide(uuid).rawValue)])
            return 0
        case .join: return try ChannelGuest.serve(wire, uuid, hello)
        case .resume:
            let verdicts = Verdicts(options)
            if try verdicts.decide(uuid) == .partial, LateMeeting.bring(wire, uuid, options) { return 0 }
            try wire.send(.fate, ["state": .string(try verdicts.decide(uuid).rawValue)])
            return 0
        case .goBack:
            try wire.send(.fate, ["state": .string(try Verdicts(options).giveUp(uuid, options).rawValue)])
            return 0
        case .hello:
            guard hello["protocol"]?.bits == UInt64(Frame.version) else {
                throw Problem(
                    .badProtocol, "the other host speaks another version of the protocol",
                    remedy: "Install the same version of Apus on both hosts")
            }
            switch options.role {
            case .first:
                if let tree = hello["terminal"] {
                    return try leave(tree, uuid, first.body, to: options.receiver, options.stateDirectory, wire)
                }
                if hello["pid-namespace"]?.isTrue ?? false {
                    return try leave(first.body, toInitial: options.initial, wire)
                }
                return try InwardJourney(options, uuid, wire, nil, nil, logger).run().status
            case .receiver:
                let terminal = try ComingTerminal(uuid, in: options.stateDirectory, logger)
                return try InwardJourney(options, uuid, wire, terminal, nil, logger).run().status
            case .initial:
                let namespace: NamespaceInit
                do throws(Problem) { namespace = try NamespaceInit() } catch {
                    try? wire.send(.failed, ["problems": JSON.problems([error])])
                    return 1
                }
                let (status, root) = try InwardJourney(options, uuid, wire, nil, namespace, logger).run()
                guard status == 0, let root else { return status }
                namespace.serve(root: root)
            }
        default: throw BodyReader.malformed
        }
    }

    /// The first frame: another process may have taken it, and given its body.
    private static func first(_ options: Options, _ wire: Wire) throws -> Frame? {
        guard options.role != .first else { return try wire.receive(patience: nil) }
        let body = try Files.readAll(KeeperProcess.message, limit: Frame.longestBody)
        try Files.close(KeeperProcess.message)
        return Frame(kind: .hello, body: body)
    }

    /// Leaves the tree to another process, below the one that keeps its terminal.
    private static func leave(
        _ tree: JSON, _ uuid: String, _ hello: [UInt8], to receiver: [String], _ state: FilePath, _ wire: Wire
    ) throws -> Int32 {
        let (pid, name) = (tree["pid"]?.bits.flatMap { Int32(exactly: $0) } ?? 0, tree["name"]?.string ?? "")
        do throws(Problem) {
            let descriptors = wire.descriptors
            return try KeeperProcess.run(
                KeptTerminal(id: uuid, pid: pid, name: name, path: "", keeper: 0), in: TerminalFolder(in: state),
                receiver: receiver, input: descriptors.input, output: descriptors.output, message: hello
            ) { wire.close() }
        } catch {
            try? wire.send(.failed, ["problems": JSON.problems([error])])
            return 1
        }
    }

    /// Leaves the tree to the init of a new pid namespace.
    private static func leave(_ hello: [UInt8], toInitial program: [String], _ wire: Wire) throws -> Int32 {
        var isLeft = false
        do throws(Problem) {
            let (input, output) = wire.descriptors
            return try NamespaceInit.run(
                program, descriptors: [(0, input), (1, output)], message: (KeeperProcess.message, hello)
            ) {
                wire.close()
                isLeft = true
            }
        } catch {
            // Who has the connection by now has gone without a word.
            if isLeft { throw error }
            try? wire.send(.failed, ["problems": JSON.problems([error])])
            return 1
        }
    }

    /// The descriptors under other numbers: what the tree has under these must find them free, and what anybody prints must
    /// not come between the frames.
    private static func takeOver(_ options: Options) throws(Problem) -> Wire {
        do throws(Errno) {
            let input = try Files.duplicate(options.input, from: 3)
            let output = try Files.duplicate(options.output, from: 3)
            let nothing = try Files.open("/dev/null", .readWrite)
            for number in Set([options.input, options.output]) {
                try Files.duplicate(nothing.raw, as: number, closeOnExec: false)
            }
            return Wire(input: input, output: output, peer: "the source")
        } catch {
            throw Problem(
                .connectionLost, "the connection cannot be taken over", cause: .init(error, attempted: "fcntl, dup3"),
                remedy: "Start `apus receive --stdio` by ssh, or by `apus migrate`")
        }
    }
}
