internal import CLinux
internal import Linux
internal import SystemPackage
public import Tracing

/// The keys that a process holds (keyrings(7)). They are secrets of the kernel, which can be neither read nor made again
/// in general: they are not carried, and said so.
public enum Keyrings {
    /// keyctl(2): operations, and special names of keyrings.
    private static let (getKeyring, describe, readPayload): (Int, Int, Int) = (0, 6, 11)
    private static let (ofThread, ofProcess, ofSession): (Int32, Int32, Int32) = (-1, -2, -3)

    /// What a thread has of its own.
    public struct Question: Sendable {
        let thread, process: Int

        /// Asks without making any.
        public init(_ batch: inout Batch) {
            func ask(_ keyring: Int32) -> Int {
                batch.call(
                    Int(SYS_keyctl), .int(getKeyring), .signed(keyring), 0, expecting: Batch.anything,
                    for: "look for a keyring")
            }
            thread = ask(ofThread)
            process = ask(ofProcess)
        }

        /// In words; empty for none.
        public func answer(_ result: BatchResult) -> [String] {
            (result[thread] > 0 ? ["thread"] : []) + (result[process] > 0 ? ["process"] : [])
        }
    }

    /// A session keyring that is not that of the user.
    public struct Session: Sendable, Hashable {
        public var serial: Int64
        public var name: String
        public var keys: Int
    }

    /// The session keyring of a process.
    ///
    /// To ask gives a process that has none that of its user, so a child has to ask in its place.
    public struct SessionQuestion: Sendable {
        public let calls: Batch
        private let keyring, size: Int
        private let description: Batch.Buffer

        public init() {
            var batch = Batch()
            keyring = batch.call(
                Int(SYS_keyctl), .int(getKeyring), .signed(ofSession), 0, expecting: Batch.anything,
                for: "look for its session keyring")
            description = batch.space(128)
            batch.call(
                Int(SYS_keyctl), .int(describe), .result(keyring), .address(description), 127,
                expecting: Batch.anything, for: "name it")
            size = batch.call(
                Int(SYS_keyctl), .int(readPayload), .result(keyring), 0, 0, expecting: Batch.anything,
                for: "count its keys")
            calls = batch
        }

        /// - Returns: nil where it has none that a restore under this Apus would take from it.
        public func answer(_ result: BatchResult) -> Session? {
            let serial = result[keyring]
            guard serial > 0, serial != Keyrings.ownSession else { return nil }
            // "keyring;uid;gid;permissions;name"
            let text = String(decoding: result.bytes(of: description).prefix { $0 != 0 }, as: UTF8.self)
            let name = text.split(separator: ";", maxSplits: 4).last.map(String.init) ?? ""
            if name.hasPrefix("_uid_ses.") { return nil }
            return Session(serial: serial, name: name, keys: max(0, Int(result[size])) / 4)
        }
    }

    private static let ownSession = Int64(
        apus_syscall(Int(SYS_keyctl), UInt(getKeyring), UInt(signed: ofSession), 0, 0, 0, 0))

    /// Whether any process of this host may have a session keyring of its own. Where none has, none has to be asked.
    ///
    /// `/proc/key-users` counts the keys of each user: those without such keyrings have two, `_uid.N` and `_uid_ses.N`. Of
    /// root, who has those of the kernel, too, `/proc/keys` shows them by name.
    public static let mayHaveSessions: Bool = {
        guard let users = try? Files.contents(of: "/proc/key-users"), let keys = try? Files.contents(of: "/proc/keys")
        else { return false }
        return counts(String(decoding: users, as: UTF8.self)).contains { $0.user != 0 && $0.keys > 2 }
            || hasOwnKeyrings(String(decoding: keys, as: UTF8.self))
    }()

    /// "    0:     9 8/8 3/1000000 40/25000000": by user, how many keys there are.
    static func counts(_ text: String) -> [(user: UInt32, keys: Int)] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 2, let user = UInt32(words[0].dropLast()),
                let keys = Int(words[2].split(separator: "/").first ?? "")
            else { return nil }
            return (user, keys)
        }
    }

    /// Whether there is a keyring of root that may be one of a session: the names of the kernel's begin with a dot, those
    /// of users say so.
    static func hasOwnKeyrings(_ text: String) -> Bool {
        text.split(separator: "\n").contains { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count > 8, words[7] == "keyring" else { return false }
            return ![".", "_uid", "_persistent"].contains { words[8].hasPrefix($0) }
        }
    }
}
