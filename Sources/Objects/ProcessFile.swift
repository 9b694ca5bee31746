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

    /// What a path of `/proc` says about a descriptor, open or closed since (`/proc/PID/fdinfo/N`, and `/proc/PID/fd/N`
    /// itself, not followed): whose it is and its number; nil for other paths.
    ///
    /// Its file is found by that number only while the process has something open under it; once open, it is about
    /// whatever the process has there at the moment of reading (proc_pid_fdinfo(5)).
    public static func descriptor(of path: FilePath) -> (pid: Int32, number: Int32)? {
        guard let pid = process(of: path), let last = inside(path), last.count == 2, ["fd", "fdinfo"].contains(last[0])
        else { return nil }
        let name = last[1].hasSuffix(GhostFile.mark) ? last[1].dropLast(GhostFile.mark.count) : last[1][...]
        guard let number = Int32(name), number >= 0 else { return nil }
        return (pid, number)
    }

    /// What a path names within the directory of a process, or of its first thread.
    private static func inside(_ path: FilePath) -> [String]? {
        let parts = path.components.dropFirst(2).map(\.string)
        return parts.first == "task" && parts.count > 1 ? Array(parts.dropFirst(2)) : parts
    }

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
        if let inside = inside(path), inside.count > 1, inside.first == "map_files" {
            return refusal(.unsupported, "it is about something that the process has mapped")
        }
        return nil
    }

    /// The name of a file of a process that has ended; nil for all others.
    public static func lostName(_ path: FilePath, _ status: FileStatus) -> FilePath? {
        guard let pid = process(of: path), isOfProc(status) else { return nil }
        // Of what the process has closed since there is no file until it opens something under that number. To look for
        // it would mark it as deleted.
        if descriptor(of: path) != nil, (try? Files.status(of: ProcessDirectory(pid).path)) != nil { return nil }
        // The kernel marks some of them as deleted and others not.
        if let found = try? Files.status(of: path, followLinks: false), found.inode == status.inode { return nil }
        return GhostFile.lostName(path, status) ?? path
    }

    /// The path of a file about a descriptor of a process that is there; nil for all others.
    static func namedByNumber(_ path: FilePath, _ status: FileStatus) -> FilePath? {
        guard descriptor(of: path) != nil, isOfProc(status), lostName(path, status) == nil else { return nil }
        let (text, mark) = (path.bytes, GhostFile.mark.utf8)
        return text.suffix(mark.count).elementsEqual(mark) ? FilePath(bytes: Array(text.dropLast(mark.count))) : path
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
        let held = try ProcessFile.descriptor(of: path).flatMap { descriptor throws(Problem) in
            try EndedProcessFile.hold(descriptor.number)
        }
        defer { if let held { try? Files.close(held) } }
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

    /// Has the process that is about to be started inherit something under that number.
    ///
    /// - Returns: the number, to be closed afterwards; nil where Apus has something there already.
    private static func hold(_ number: Int32) throws(Problem) -> Int32? {
        if (try? Files.closesOnExec(number)) != nil { return nil }
        do throws(Errno) {
            let nothing = try Files.open("/dev/null", .readOnly)
            try Files.duplicate(nothing.raw, as: number)
            return number
        } catch {
            throw Problem(
                .fileUnopenable, "descriptor \(number) cannot be used", object: .init(fd: number),
                cause: .init(error, attempted: "dup3"),
                remedy: "Raise the limit of open files above \(number) (ulimit -n) and try again")
        }
    }
}

extension Problem.Code {
    public static let pidInUse: Self = "pid-in-use"
}
