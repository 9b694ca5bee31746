internal import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Names that a dump has given to files which had lost the one that they were opened by, and have others that cannot be
/// found (`--link-remap`). They go again unless the dump succeeds.
public final class GivenNames {
    private var made: [FilePath] = []
    private var isKept = false

    /// The description that stands for each file's new name.
    fileprivate var known: [Identity: UInt32] = [:]

    fileprivate struct Identity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
    }

    init() {}

    /// The dump stands: its restore needs them, and removes them.
    public func keep() { isKept = true }

    /// Gives an open file a name beside the one that it had.
    fileprivate func give(_ file: Int32, in directory: FilePath, number: UInt32) throws(Errno) -> FilePath {
        // Earlier dumps may have left some.
        for number in number..<(number + 1000) {
            let path = directory.appending("link_remap.\(number)")
            do throws(Errno) {
                try Files.link(file, as: path)
                made.append(path)
                return path
            } catch {
                if error != .fileExists { throw error }
            }
        }
        throw .fileExists
    }

    deinit {
        if !isKept { for path in made { try? Files.remove(path) } }
    }
}

@available(*, unavailable)
extension GivenNames: Sendable {}

extension Descriptions {
    /// Gives a file that has other names one more, beside the one that it had, and records that a description is of it.
    ///
    /// - Parameters:
    ///   - place: where it can be opened.
    ///   - name: the one that it has lost.
    func addLink(
        to status: FileStatus, at place: FilePath, was name: FilePath, description: UInt32, _ object: Problem.Object
    ) throws(Problem) {
        let identity = GivenNames.Identity(device: status.device, inode: status.inode)
        if let known = links.known[identity] { return ghosts.add(linked: known, description: description) }
        let id = nextID()
        do throws(Errno) {
            let file = try Files.open(place, .path)
            let path = try links.give(file.raw, in: name.removingLastComponent(), number: id)
            RegularFile.add(RegularFile.entry(path, status, flags: 0, id: id), to: self)
        } catch {
            throw Problem(
                .fileDeleted, "the file cannot be given another name", object: object,
                cause: .init(error, attempted: "linkat(\"\(name.removingLastComponent())/link_remap.\(id)\")"),
                remedy: "See that the directory can be written to, or close the file in the program before the dump")
        }
        links.known[identity] = id
        ghosts.add(linked: id, description: description)
    }
}

/// An open file that had lost its name at the dump and got another one beside it, by which it can be found.
///
/// It has its old name again for the microseconds in which it is opened, so that all of `/proc` shows it as before; the
/// other one goes when the tree runs.
struct LinkedFile: Resource {
    private let entry: RegFileEntry
    private let link: RegFileEntry
    private let file: NamedFile

    private init(_ entry: RegFileEntry, _ link: RegFileEntry, mappedAs: UInt32?) {
        self.entry = entry
        self.link = link
        var opened = entry
        opened.path = Self.whole(link.path)
        file = NamedFile(opened, mappedAs: mappedAs)
    }

    /// What opens a description of such a file; nil for a description of another.
    static func find(_ key: FileTable.Key, in images: CheckpointImages, mappedAs: UInt32?) -> LinkedFile? {
        guard key.type == .reg, let entry = images.files.regular(key.id),
            let remap = images.remaps.first(where: { $0.origID == key.id && $0.remapType == .linked }),
            let link = images.files.regular(remap.remapID)
        else { return nil }
        return LinkedFile(entry, link, mappedAs: mappedAs)
    }

    private static func whole(_ path: FilePath) -> FilePath {
        path.isAbsolute ? path : FilePath("/").appending(path.components)
    }

    private var path: FilePath { Self.whole(entry.path) }
    private var linkPath: FilePath { Self.whole(link.path) }

    var description: String { "\(path), which is \(linkPath) now," }

    func obstacles(at site: RestoreSite) -> [Problem] {
        var found = file.obstacles(at: site)
        for index in found.indices where found[index].code == .fileMissing {
            found[index].remedy =
                "The dump has made this name (--link-remap), and a restore removes it: link the file there again, dump anew,"
                + " or restore with --inherit-fd"
        }
        // A link of somebody else's making must not lead a restore elsewhere.
        if found.isEmpty, (try? Files.status(of: linkPath, followLinks: false))?.kind != .regular {
            found.append(
                Problem(
                    .fileChanged, "the name that the dump has made is that of no regular file",
                    object: .init(path: linkPath.string), remedy: "Dump the program anew"))
        }
        return found
    }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        if !site.namesToRemove.contains(linkPath) { site.namesToRemove.append(linkPath) }
        let hasOldName: Bool
        do throws(Errno) {
            let link = try Files.open(linkPath, [.path, .noFollow])
            try Files.link(link.raw, as: path)
            hasOldName = true
        } catch {
            // Another file has the old name: /proc will show the new one.
            hasOldName = false
        }
        guard hasOldName else { return try file.open(at: site) }
        defer { try? Files.remove(path) }
        return try file.with(path: path).open(at: site)
    }
}
