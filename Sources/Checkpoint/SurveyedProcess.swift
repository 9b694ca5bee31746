internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage

/// A file by its name, and what the name led to.
struct NamedFile: Sendable {
    let path: FilePath
    let status: FileStatus
    /// Of a file that has lost that name: where it can be opened.
    let ghost: FilePath?

    /// - Parameters:
    ///   - text: as `/proc` shows it.
    ///   - status: of the file itself.
    ///   - place: the link of `/proc` that leads to it.
    init(shownAs text: FilePath, _ status: FileStatus, at place: FilePath) {
        self.status = status
        let lost = GhostFile.lostName(text, status)
        if let other = lost.flatMap({ RemainingName.find(for: $0, status) }) {
            (path, ghost) = (other, nil)
            return
        }
        path = lost ?? text
        ghost = lost == nil ? nil : place
    }

    /// Why the file cannot be carried, nil where it can.
    ///
    /// - Parameters:
    ///   - isShared: what is written to it is seen by others.
    ///   - ghostLimit: the most that may be kept of one without a name.
    ///   - linking: a file that has other names may be given one more.
    func obstacle(_ object: Problem.Object, isShared: Bool, ghostLimit: UInt64, linking: Bool) -> Problem? {
        if ghost == nil { return RegularFile.obstacle(to: path, status, object, followLinks: true) }
        return GhostFile.obstacle(path, status, object, isShared: isShared, limit: ghostLimit, linking: linking)
    }
}

/// A process as `/proc` shows it: everything that decides whether and how it can be carried.
struct SurveyedProcess: Sendable {
    let pid: Int32
    /// The thread through which what the threads share is seen: the first, or another where that has ended.
    let eye: Int32
    let stat: TaskStat
    let status: TaskStatus
    /// The threads in rising order, a first one that has ended among them.
    let threads: [Int32]
    let areas: [(area: MappedArea, kind: AreaKind)]
    /// The files of the mappings that have one, by mapping.
    let files: [UInt64: NamedFile]
    let descriptors: [SeenDescriptor]
    /// nil for a zombie.
    let places: Places?
    let timers: [PosixTimer]

    struct Places: Sendable {
        let executable, workingDirectory, root: NamedFile
    }

    var name: String { String(decoding: stat.name, as: UTF8.self) }
    var isZombie: Bool { places == nil }
    /// The first thread has ended while others live.
    var hasLostLeader: Bool { eye != pid }
    var object: Problem.Object { .init(pid: pid, process: name) }

    /// Where a mapping's file can be opened, whatever its name now means.
    static func place(of area: MappedArea, in pid: Int32) -> FilePath {
        let (start, end) = (String(area.range.lowerBound, radix: 16), String(area.range.upperBound, radix: 16))
        return ProcessDirectory(pid).path.appending("map_files").appending("\(start)-\(end)")
    }
}
