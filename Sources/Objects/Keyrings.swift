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
    /// `/proc/key-users` counts the keys of each user. A user without such keyrings has two, `_uid.N` and `_uid_ses.N`; of
    /// root's own `/proc/keys` shows which they are.
    public static let mayHaveSessions: Bool = {
        guard let users = try? Files.contents(of: "/proc/key-users"), let keys = try? Files.contents(of: "/proc/keys")
        else { return false }
        let ofRoot = usualKeys(String(decoding: keys, as: UTF8.self))
        return counts(String(decoding: users, as: UTF8.self)).contains { user, count in
            count > (user == 0 ? ofRoot : 2)
        }
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

    /// How many keys of root are known to be something else than a session keyring: those of the kernel, whose names begin with
    /// a dot, those of users, and those that are no keyrings.
    static func usualKeys(_ text: String) -> Int {
        text.split(separator: "\n").count { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count > 8, words[5] == "0" else { return false }
            let isNamed = words[8].hasPrefix(".") || words[8].hasPrefix("_uid") || words[8].hasPrefix("_persistent")
            return words[7] != "keyring" || isNamed
        }
    }
}
