internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Directories that had been deleted and live on for who has them open or works in them. They are made anew, all at once,
/// since one may have been in another, opened, and removed again: they have names for some microseconds only.
enum GhostDirectories {
    /// One of them.
    struct Item: Sendable {
        var id: UInt32
        var path: FilePath
        var entry: GhostFileEntry
    }

    /// Those of the images, each once, the outer before the inner.
    static func all(in images: CheckpointImages) -> [Item] {
        var items: [UInt32: Item] = [:]
        for remap in images.remaps where remap.remapType == .ghost {
            guard let ghost = images.ghosts[remap.remapID], FileStatus.kind(ofMode: ghost.mode) == .directory,
                let file = images.files.regular(remap.origID)
            else { continue }
            items[remap.remapID] = Item(id: remap.remapID, path: UnnamedFile.whole(file.path), entry: ghost)
        }
        return items.values.sorted { ($0.path.components.count, $0.id) < ($1.path.components.count, $1.id) }
    }

    /// Makes them.
    ///
    /// - Returns: a descriptor of each, by its id.
    static func make(_ items: [Item]) throws(Problem) -> [(UInt32, SharedDescriptor)] {
        // Where each is: another directory may have its name now.
        var places: [FilePath: FilePath] = [:]
        var names: [FilePath] = []
        var made: [(UInt32, SharedDescriptor)] = []
        func remove() { for name in names.reversed() { try? Files.remove(name, isDirectory: true) } }
        for item in items {
            do throws(Problem) {
                let parent = item.path.removingLastComponent()
                if places[parent] == nil { names += try makeMissing(parent) }
                let path = (places[parent] ?? parent).appending(item.path.components.suffix(1))
                let name = try makeOne(path, item)
                names.append(name)
                places[item.path] = name
                made.append((item.id, try open(name)))
            } catch {
                remove()
                throw error
            }
        }
        remove()
        for (item, file) in zip(items, made.map(\.1)) {
            do throws(Errno) { try item.entry.apply(to: file.descriptor.raw) } catch {
                throw failure(item.path, error, "fchown, fchmod, utimensat")
            }
        }
        return made
    }

    private static func makeOne(_ path: FilePath, _ item: Item) throws(Problem) -> FilePath {
        let other = FilePath(bytes: path.bytes + Array(".apus-\(item.id)".utf8))
        do throws(Errno) {
            do throws(Errno) { try Files.makeDirectory(path, mode: 0o700) } catch {
                if error != .fileExists { throw error }
                try Files.makeDirectory(other, mode: 0o700)
                return other
            }
            return path
        } catch {
            throw failure(path, error, "mkdir")
        }
    }

    private static func open(_ path: FilePath) throws(Problem) -> SharedDescriptor {
        do throws(Errno) { return SharedDescriptor(try Files.open(path, [.readOnly, .directory, .noFollow])) } catch {
            throw failure(path, error, "open")
        }
    }

    private static func failure(_ path: FilePath, _ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .fileUnopenable, "the deleted directory cannot be made anew", object: .init(path: path.string),
            cause: .init(error, attempted: attempted),
            remedy: "See that \(path.removingLastComponent()) is on a file system that can be written to")
    }

    /// Makes a directory and those that it is in, as far as they are not there.
    ///
    /// - Returns: those that were made, to be removed again, the outer before the inner.
    static func makeMissing(_ directory: FilePath) throws(Problem) -> [FilePath] {
        var missing: [FilePath] = []
        var current = directory
        while (try? Files.status(of: current)) == nil, current.lastComponent != nil {
            missing.append(current)
            current = current.removingLastComponent()
        }
        var made: [FilePath] = []
        for one in missing.reversed() {
            do throws(Errno) { try Files.makeDirectory(one, mode: 0o700) } catch {
                for one in made.reversed() { try? Files.remove(one, isDirectory: true) }
                throw Problem(
                    .fileUnopenable, "the directory of a deleted file cannot be made", object: .init(path: one.string),
                    cause: .init(error, attempted: "mkdir"), remedy: "Make the directory before the restore")
            }
            made.append(one)
        }
        return made
    }
}
