public import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import SystemPackage

/// The directory of one program that runs under `apus run`: its checkpoints, its output, and what became of it.
struct Store {
    let path: FilePath
    /// Locked for as long as this run lasts; it dies with the process.
    private let lock: Int32

    /// Opens the store, and makes it if need be.
    ///
    /// - Throws: `store-busy` where another run has it, or what another run had started still lives.
    init(_ path: FilePath) throws(Problem) {
        self.path = path
        do throws(Errno) {
            do throws(Errno) { try Files.makeDirectory(path, mode: 0o700) } catch .fileExists {}
            lock = try Files.open(path.appending("lock"), [.readWrite, .create]).release()
        } catch {
            throw Problem(
                .storeUnusable, "the store cannot be used", object: .init(path: path.string),
                cause: .init(error, attempted: "mkdir, open"), remedy: "Name another directory with --store")
        }
        // Who was killed a moment ago may not be gone yet.
        var patience = 300
        while flock(lock, LOCK_EX | LOCK_NB) != 0 || isInhabited {
            patience -= 1
            if patience == 0 {
                throw Problem(
                    .storeBusy, "another apus run is at work with this store", object: .init(path: path.string),
                    remedy: "Wait for its end, or name another store")
            }
            usleep(10_000)
        }
    }

    // MARK: Who lives in it

    /// Notes the pid namespace in which the program lives from now on.
    func settle() {
        let text = Processes.boot + "\n" + Processes.pidNamespace(of: "self")
        try? Files.truncate(lock, to: 0)
        try? Files.write(lock, Array(text.utf8), at: 0)
    }

    /// Whether a process of the last run's namespace is still there: its init may be gone before the others are.
    private var isInhabited: Bool {
        guard let bytes = try? Files.read(lock, count: 256, at: 0), !bytes.isEmpty else { return false }
        let noted = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        guard noted.count == 2, noted[0] == Processes.boot, noted[1] != Processes.pidNamespace(of: "self") else {
            return false
        }
        return Processes.member(ofPidNamespace: noted[1]) != nil
    }

    // MARK: What it holds

    /// Small texts: the command, the program's end.
    subscript(_ name: String) -> String? {
        (try? Files.contents(of: path.appending(name))).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Writes a small text, whole or not at all; nil removes it.
    ///
    /// - Throws: ENOSPC and others.
    func set(_ name: String, to text: String?) throws(Errno) {
        let file = path.appending(name)
        guard let text else { return try Files.remove(file) }
        let made = path.appending(name + ".new")
        do throws(Errno) {
            let opened = try Files.open(made, [.writeOnly, .create, .truncate])
            try Files.write(opened.raw, Array(text.utf8))
            try Files.sync(opened.raw)
            try Files.rename(made, to: file)
        } catch {
            try? Files.remove(made)
            throw error
        }
    }

    /// The numbers of all checkpoints, whole ones and others, the newest first.
    var numbers: [Int] {
        let names = ((try? Files.entries(of: path)) ?? []).map { String(decoding: $0.name, as: UTF8.self) }
        return names.compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }.sorted(by: >)
    }

    func checkpoint(_ number: Int) -> FilePath { path.appending("checkpoint-\(number)") }

    /// Whether the dump came to its end. One of Apus that has its inventory did, though somebody may have taken its manifest away.
    func isWhole(_ number: Int) -> Bool {
        let place = checkpoint(number)
        if (try? Files.access(place.appending(Manifest.fileName), mode: 0)) != nil { return true }
        return (try? ImageDirectory(opening: place).inventory())?.isOfApus ?? false
    }

    func remove(_ number: Int) {
        let place = checkpoint(number)
        // In the order in which what is left is never taken for whole; then whatever else is there.
        try? ImageDirectory(opening: place).clear()
        Self.remove(place)
    }

    /// Forgets everything.
    func clear() {
        numbers.forEach(remove)
        for name in ["finished", "command", "output.log", "errors.log"] { try? set(name, to: nil) }
    }

    private static func remove(_ path: FilePath) {
        for entry in (try? Files.entries(of: path)) ?? [] {
            let inner = path.appending(FilePath(bytes: entry.name).components)
            if (try? Files.remove(inner)) == nil { remove(inner) }
        }
        try? Files.remove(path, isDirectory: true)
    }
}

extension Problem {
    static func notStarted(_ program: String, _ error: Errno) -> Problem {
        Problem(
            .programUnstartable, "the program cannot be started", object: .init(path: program),
            cause: .init(error, attempted: "posix_spawnp"),
            remedy: error == .noSuchFileOrDirectory
                ? "See that the name behind -- is right; one without a slash is looked for in $PATH"
                : "Give the path of a program that may be executed behind --")
    }
}

extension Problem.Code {
    /// Another run has the store.
    public static let storeBusy: Self = "store-busy"
    /// The program that is to be run cannot be.
    static let programUnstartable: Self = "program-unstartable"
    /// The store cannot be used, or belongs to another command.
    public static let storeUnusable: Self = "store-unusable"
    /// No checkpoint of the store can be restored.
    public static let storeDamaged: Self = "store-damaged"
}
