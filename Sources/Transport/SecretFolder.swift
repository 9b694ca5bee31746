internal import Diagnostics
internal import Linux
internal import SystemPackage

/// A directory of small files that are for root alone, each written as a whole or not at all.
struct SecretFolder: Sendable {
    let path: FilePath

    func file(_ name: String) -> FilePath { path.appending(FilePath(name).components) }

    /// The names in it.
    var names: [String] {
        ((try? Files.entries(of: path)) ?? []).map { String(decoding: $0.name, as: UTF8.self) }
            .filter { !$0.hasPrefix(".") }
    }

    /// A file's content; nil where it is not there, or is no small one.
    func text(_ name: String) -> String? {
        guard let file = try? Files.open(file(name), [.readOnly, .noFollow]),
            let bytes = try? Files.readAll(file.raw, limit: 64 << 10)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Throws: `state-unwritable`.
    func write(_ name: String, _ text: String) throws(Problem) {
        let temporary = "." + name + ".new"
        do throws(Errno) {
            try make()
            try? Files.remove(file(temporary))
            let folder = try Files.open(path, [.readOnly, .directory])
            let new = try Files.open(file(temporary), [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600)
            try Files.write(new.raw, Array(text.utf8))
            try Files.sync(new.raw)
            try Files.rename(file(temporary), to: file(name))
            try Files.sync(folder.raw)
        } catch {
            throw Problem(
                .secretsUnwritable, "what two hosts are to know of each other cannot be written down",
                object: .init(path: file(name).string), cause: .init(error, attempted: "open, write, rename"),
                remedy: "Run Apus as root, or name another directory with --state-dir")
        }
    }

    /// - Returns: whether it was there: of several that remove one file at once, one is told so.
    func remove(_ name: String) -> Bool { (try? Files.remove(file(name))) != nil }

    private func make() throws(Errno) {
        var missing: [FilePath] = []
        var place = path
        while !place.isEmpty, (try? Files.status(of: place)) == nil {
            missing.append(place)
            place = place.removingLastComponent()
        }
        for place in missing.reversed() {
            do throws(Errno) { try Files.makeDirectory(place, mode: 0o700) } catch {
                if error != .fileExists { throw error }
            }
        }
    }
}
