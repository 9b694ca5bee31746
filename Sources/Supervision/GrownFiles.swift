internal import Diagnostics
internal import Images
internal import Linux
internal import Logging
internal import SystemPackage

/// Takes the files with the program's output back to where they were at a checkpoint.
///
/// A program that goes on from a checkpoint prints again what it has printed since. Its output files are opened here, for
/// appending, so that the position of their description at the checkpoint is the size that they had. Of other files a
/// checkpoint tells no size: they stay as they are.
///
/// What is cut off is kept aside until the program goes on: where it does not, the output is what it was.
struct GrownFiles {
    private let store: Store
    private let logger: Logger

    init(_ store: Store, _ logger: Logger) { (self.store, self.logger) = (store, logger) }

    /// - Throws: where the checkpoint cannot be read; `store-unusable` where there is no room for what is kept aside.
    func cutBack(to images: FilePath) throws(Problem) {
        let entries = try ImageDirectory(opening: images).messages(.files)
        for path in store.outputs {
            // Several descriptions where the program has opened it again.
            let places = entries.filter { $0.hasReg && FilePath(bytes: $0.reg.name) == path }.map(\.reg.pos)
            guard let place = places.max(), let status = try? Files.status(of: path), status.size > place else {
                continue
            }
            let tail = Self.tail(Self.cut, of: path, from: place)
            do throws(Errno) {
                let opened = try Files.open(path, .readWrite)
                try Self.copy(opened.raw, from: place, to: tail)
                try Files.truncate(opened.raw, to: place)
                logger.info("\(path): cut back from \(status.size) to \(place) bytes, as it was at the checkpoint")
            } catch {
                try? Files.remove(tail)
                throw Problem(
                    .storeUnusable,
                    "what the program has printed since its checkpoint, \(status.size - place) bytes, cannot be kept aside until it"
                        + " goes on", object: .init(path: path.string),
                    cause: .init(error, attempted: "write, ftruncate"),
                    remedy: "Make room in the store, and run it again")
            }
        }
    }

    /// The program has not gone on: its output is whole again.
    ///
    /// What is being put back has another name, so that a run that is killed over it is known from one whose program went on.
    func putBack() {
        for (path, place, tail) in Self.tails(Self.cut, in: store) {
            if (try? Files.status(of: path).size) == place {
                try? Files.rename(tail, to: Self.tail(Self.back, of: path, from: place))
            } else {
                // Who was killed when the program had gone on has left it behind.
                try? Files.remove(tail)
            }
        }
        for (path, place, tail) in Self.tails(Self.back, in: store) {
            do throws(Errno) {
                let output = try Files.open(path, .writeOnly)
                let opened = try Files.open(tail, .readOnly)
                try Files.truncate(output.raw, to: place)
                try Self.copy(opened.raw, from: 0, to: path)
                try Files.remove(tail)
            } catch {
                logger.warning(
                    "what was cut off of \(path) cannot be put back, and stays in \(tail) (\(error.description))")
            }
        }
    }

    /// The program goes on, and prints it again.
    static func forgetTails(in store: Store) {
        for kind in [cut, back] {
            for (_, _, tail) in tails(kind, in: store) { try? Files.remove(tail) }
        }
    }

    // MARK: What was cut off

    /// Behind the name of a file; the place from which on it was cut off follows.
    private static let (cut, back) = (".cut-", ".back-")

    private static func tail(_ kind: String, of path: FilePath, from place: UInt64) -> FilePath {
        FilePath(path.string + kind + "\(place)")
    }

    private static func tails(_ kind: String, in store: Store) -> [(path: FilePath, place: UInt64, tail: FilePath)] {
        let names = ((try? Files.entries(of: store.path)) ?? []).map { String(decoding: $0.name, as: UTF8.self) }
        return names.sorted().flatMap { name in
            store.outputs.compactMap { path in
                let start = (path.lastComponent?.string ?? "") + kind
                guard name.hasPrefix(start), let place = UInt64(name.dropFirst(start.utf8.count)) else { return nil }
                return (path, place, store.path.appending(name))
            }
        }
    }

    /// Appends the rest of an open file to another, and waits for the disk.
    private static func copy(_ source: Int32, from place: UInt64, to path: FilePath) throws(Errno) {
        let output = try Files.open(path, [.writeOnly, .create, .append])
        var place = place
        while case let bytes = try Files.read(source, count: 1 << 20, at: place), !bytes.isEmpty {
            try Files.write(output.raw, bytes)
            place += UInt64(bytes.count)
        }
        try Files.sync(output.raw)
    }
}
