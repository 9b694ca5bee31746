internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A directory for the images of a tree that is on its way, in memory: nothing in it is worth keeping.
final class ScratchFolder: Sendable {
    let folder: FilePath
    /// Where it may lie.
    static let places: [FilePath] = ["/dev/shm", "/run", "/tmp"]
    /// The first part of the name of one for a tree that comes.
    static let incoming = "apus-incoming-"
    /// For the images, whose own lock is another.
    var path: FilePath { folder.appending("images") }
    /// Says that somebody is at work in it (flock(2)).
    private let lock: OwnedDescriptor

    /// Images without pages, and files that are taken along, hardly take more.
    private static let usualSize: UInt64 = 64 << 20

    /// The places in the order in which they are tried: first those that have room.
    static func order(_ places: [FilePath], room: (FilePath) -> UInt64?) -> [FilePath] {
        let (wide, narrow) = (places.filter { room($0) ?? 0 >= usualSize }, places.filter { room($0) ?? 0 < usualSize })
        return wide + narrow
    }

    private static func room(in place: FilePath) -> UInt64? {
        guard let folder = try? Files.open(place, [.readOnly, .directory]) else { return nil }
        return Files.room(in: folder.raw)
    }

    /// Makes it, in the first place where that is possible, and removes those of the same kind whose makers have died.
    ///
    /// - Parameters:
    ///   - kind: the first part of its name.
    ///   - name: the second part, which no other has.
    /// - Throws: `image-unwritable`.
    convenience init(
        _ kind: String, _ name: String, in places: [FilePath] = ScratchFolder.places
    ) throws(Problem) {
        var failure: Errno = .noSuchFileOrDirectory
        for place in Self.order(places, room: Self.room) {
            do throws(Errno) {
                Self.removeLeft(kind, in: place)
                try self.init(making: place.appending(kind + name))
                return
            } catch {
                failure = error
            }
        }
        throw Problem(
            .imageUnwritable, "there is no place for the images of the tree",
            object: .init(path: places.first?.string), cause: .init(failure, attempted: "mkdir"),
            remedy: "Run Apus as root, with a /run that can be written to")
    }

    private init(making path: FilePath) throws(Errno) {
        try Files.makeDirectory(path, mode: 0o700)
        lock = try Files.open(path, [.readOnly, .directory])
        try Files.lock(lock.raw, .exclusive)
        folder = path
        try Files.makeDirectory(path.appending("images"), mode: 0o700)
    }

    private static func removeLeft(_ kind: String, in place: FilePath) {
        for entry in (try? Files.entries(of: place)) ?? [] {
            let name = String(decoding: entry.name, as: UTF8.self)
            guard name.hasPrefix(kind), let component = FilePath.Component(name),
                let folder = try? Files.open(place.appending(component), [.readOnly, .directory, .noFollow]),
                // One that has just been made is locked a moment later.
                let status = try? Files.status(ofDescriptor: folder.raw),
                SystemClock.realTime.now > UInt64(status.modified.seconds + 60) * 1_000_000_000,
                (try? Files.lock(folder.raw, .exclusive, waits: false)) != nil
            else { continue }
            remove(place.appending(component), depth: 0)
        }
    }

    /// Removes it and what is in it.
    func remove() { Self.remove(folder, depth: 0) }

    private static func remove(_ path: FilePath, depth: Int) {
        for entry in (try? Files.entries(of: path)) ?? [] where depth < 100 {
            let child = path.appending(FilePath.Component(String(decoding: entry.name, as: UTF8.self)) ?? "?")
            do throws(Errno) { try Files.remove(child) } catch {
                if error == .isDirectory { remove(child, depth: depth + 1) }
            }
        }
        try? Files.remove(path, isDirectory: true)
    }
}
