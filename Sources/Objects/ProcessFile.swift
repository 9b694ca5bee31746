public import Diagnostics
internal import Images
public import Linux
public import SystemPackage

/// A file of `/proc` about one process (proc(5)): of the tree, where it has to be there before the file can be opened
/// again, or of one that has ended, whose files remain for who has them open.
public enum ProcessFile {
    /// The process that a path of `/proc` is about; nil for other paths.
    public static func process(of path: FilePath) -> Int32? {
        // Thousands of open files are asked this; taking a path to pieces is slow.
        guard path.bytes.starts(with: "/proc/".utf8) else { return nil }
        let parts = path.components.map(\.string)
        guard parts.count > 1 else { return nil }
        // The directory itself is marked when the process has ended.
        let mark = parts.count == 2 && parts[1].hasSuffix(GhostFile.mark) ? GhostFile.mark.count : 0
        guard let pid = Int32(parts[1].dropLast(mark)), pid > 0 else { return nil }
        return pid
    }

    /// What is there only later than the process, when Apus opens its files: directories of descriptors and mappings.
    private static let ofWhatComesLater: Set<String> = ["fd", "fdinfo", "map_files"]

    /// Why such a file cannot be carried, nil where it can, and for files that are no such.
    ///
    /// - Parameters:
    ///   - path: as a link of `/proc` shows it.
    ///   - status: of the file itself.
    public static func obstacle(
        to path: FilePath, _ status: FileStatus, _ object: Problem.Object, _ pids: Set<Int32>
    ) -> Problem? {
        guard let pid = process(of: path), isOfProc(status) else { return nil }
        func refusal(_ code: Problem.Code, _ summary: String) -> Problem {
            Problem(code, summary, object: object, remedy: "Close it in the program before the dump")
        }
        if lostName(path, status) != nil { return nil }
        guard pids.contains(pid) else {
            return refusal(.leadsOutside, "it is about process \(pid), which is outside of the tree")
        }
        let parts = path.components.dropFirst(2).map(\.string)
        let ofThread = parts.first == "task" && parts.count > 1
        if ofThread && parts[1] != String(pid) {
            return refusal(.unsupported, "it is about a thread that is not the first of its process")
        }
        let inside = ofThread ? parts.dropFirst(2) : parts[...]
        if inside.count > 1, let first = inside.first, ofWhatComesLater.contains(first) {
            return refusal(.unsupported, "it is about something that the process has open or mapped")
        }
        return nil
    }

    /// The name of a file of a process that has ended; nil for all others.
    public static func lostName(_ path: FilePath, _ status: FileStatus) -> FilePath? {
        guard process(of: path) != nil, isOfProc(status) else { return nil }
        // The kernel marks some of them as deleted and others not.
        if let found = try? Files.status(of: path, followLinks: false), found.inode == status.inode { return nil }
        return GhostFile.lostName(path, status) ?? path
    }

    private static func isOfProc(_ status: FileStatus) -> Bool {
        (try? Files.status(of: "/proc"))?.device == status.device
    }
}

/// An open file of `/proc` about a process that has ended: opened of one that is started for that, with the same pid, and
/// that has ended by the time the tree is made.
struct EndedProcessFile: Resource {
    private let file: NamedFile
    private let path: FilePath
    private let pid: Int32

    /// What opens a description of such a file; nil for a description of another.
    static func find(_ key: FileTable.Key, in images: CheckpointImages, mappedAs: UInt32?) -> EndedProcessFile? {
        guard key.type == .reg, mappedAs == nil, var entry = images.files.regular(key.id),
            let remap = images.remaps.first(where: { $0.origID == key.id && $0.remapType == .procfs })
        else { return nil }
        entry.path = entry.path.isAbsolute ? entry.path : FilePath("/").appending(entry.path.components)
        guard let pid = ProcessFile.process(of: entry.path), pid == Int32(bitPattern: remap.remapID) else { return nil }
        return EndedProcessFile(file: NamedFile(entry, ofProcess: true), path: entry.path, pid: pid)
    }

    var description: String { "\(path), of a process that has ended" }

    func obstacles(at site: RestoreSite) -> [Problem] {
        // The program reads the number in the names of its descriptors only.
        guard (try? Processes.kill(pid, signal: 0)) != nil else { return [] }
        return [
            Problem(
                .pidInUse, "it is of a process that had ended, and another one has its pid now",
                object: .init(pid: pid, path: path.string),
                remedy: "End that process, or restore with --pid-policy new-namespace")
        ]
    }

    func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        let process: EndedProcess
        do throws(Errno) { process = try EndedProcess(pid: pid) } catch {
            throw Problem(
                error == .fileExists ? .pidInUse : .fileUnopenable, "a process to open its file of cannot be made",
                object: .init(pid: pid, path: path.string), cause: .init(error, attempted: "clone3(CLONE_SET_TID)"),
                remedy: "Run Apus as root, and see that no process has this pid")
        }
        defer { process.end() }
        return try file.open(at: site)
    }
}

extension Problem.Code {
    public static let pidInUse: Self = "pid-in-use"
}
