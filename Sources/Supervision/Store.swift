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
        while try !isLocked() || isInhabited {
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

    /// Locks it, where nobody else has.
    private func isLocked() throws(Problem) -> Bool {
        do throws(Errno) { try Files.lock(lock, .exclusive, waits: false) } catch .wouldBlock {
            return false
        } catch {
            throw unusable(error, "flock", "Name a store on a file system that has locks (flock(2)) with --store")
        }
        return true
    }

    /// Notes the pid namespace in which the program lives from now on.
    func settle() {
        let text = "\(HostBoot.mark)\n\(PidNamespaceMark.own)"
        try? Files.truncate(lock, to: 0)
        try? Files.write(lock, Array(text.utf8), at: 0)
    }

    /// Whether a process of the last run's namespace is still there: its init may be gone before the others are.
    private var isInhabited: Bool {
        guard let bytes = try? Files.read(lock, count: 256, at: 0), !bytes.isEmpty else { return false }
        let noted = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        guard noted.count == 2, noted[0] == HostBoot.mark else { return false }
        let namespace = PidNamespaceMark(noted[1])
        return !namespace.matches(.own) && namespace.member() != nil
    }

    // MARK: What it holds

    /// Small texts: the command, the program's end; nil where there is none.
    ///
    /// - Throws: `store-unusable` where it cannot be read: it is not taken for absent.
    func text(_ name: String) throws(Problem) -> String? {
        do throws(Errno) {
            return String(decoding: try Files.contents(of: path.appending(name)), as: UTF8.self)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch {
            throw unusable(error, "open(\"\(name)\"), read")
        }
    }

    private func unusable(
        _ error: Errno, _ attempted: String,
        _ remedy: String = "Look after the disk or the network file system that holds it, and run it again"
    ) -> Problem {
        Problem(
            .storeUnusable, "the store cannot be used", object: .init(path: path.string),
            cause: .init(error, attempted: attempted), remedy: remedy)
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
    ///
    /// - Throws: `store-unusable`.
    func numbers() throws(Problem) -> [Int] {
        let names: [String]
        do throws(Errno) { names = try Files.entries(of: path).map { String(decoding: $0.name, as: UTF8.self) } } catch
        {
            throw unusable(error, "getdents64")
        }
        return names.compactMap { $0.hasPrefix("checkpoint-") ? Int($0.dropFirst(11)) : nil }.sorted(by: >)
    }

    func checkpoint(_ number: Int) -> FilePath { path.appending("checkpoint-\(number)") }

    /// Whether a dump came to its end, as far as is known.
    enum Completeness { case whole, cutOff, unknown }

    /// One of Apus that has its inventory came to its end, though somebody may have taken its manifest away. What cannot be read says
    /// nothing.
    func completeness(_ number: Int) -> Completeness {
        let place = checkpoint(number)
        do throws(Errno) {
            try Files.access(place.appending(Manifest.fileName), mode: 0)
            return .whole
        } catch .noSuchFileOrDirectory {
        } catch { return .unknown }
        do throws(Problem) { return try ImageDirectory(opening: place).inventory().isOfApus ? .whole : .unknown } catch
        {
            return error.code == .imageMissing ? .cutOff : .unknown
        }
    }

    func remove(_ number: Int) {
        let place = checkpoint(number)
        // In the order in which what is left is never taken for whole; then whatever else is there.
        try? ImageDirectory(opening: place).clear()
        Self.remove(place)
    }

    /// Forgets everything.
    ///
    /// - Throws: `store-unusable`.
    func clear() throws(Problem) {
        try numbers().forEach(remove)
        for name in ["finished", "command"] + Self.outputs { try? set(name, to: nil) }
        GrownFiles.forgetTails(in: self)
    }

    /// What the program writes to its standard output and its standard error.
    static let outputs = ["output.log", "errors.log"]
    var outputs: [FilePath] { Self.outputs.map(path.appending) }

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
