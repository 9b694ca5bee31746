internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import Synchronization
internal import SystemPackage

/// A look at one process through `/proc`. Several threads look at several processes at a time.
final class ProcessLook: Sendable {
    /// What was seen of a process; nothing where it has gone meanwhile.
    struct Result: Sendable {
        var process: SurveyedProcess?
        var obstacles: [Problem] = []
        /// The attributes of its mappings are those of before the freeze, and have yet to be confirmed.
        var isAssumed = false
        /// What the kernel had of its mappings, where it was asked.
        var flags: KernelMappings?
    }

    private let known: KnownMappings
    private let ghostLimit: UInt64
    private let linking: Bool
    /// A file is looked at once, however many processes map it.
    private let files = Mutex<[FileIdentity: NamedFile]>([:])

    private struct FileIdentity: Hashable {
        let device: DeviceNumber
        let inode: UInt64
        let path: [UInt8]
        let isShared: Bool
    }

    /// - Parameter known: what is known of mappings from before the freeze.
    init(_ known: KnownMappings, ghostLimit: UInt64, linking: Bool) {
        self.known = known
        self.ghostLimit = ghostLimit
        self.linking = linking
    }

    func process(_ pid: Int32) -> Result {
        var result = Result()
        do throws(ProcfsError) {
            let stat = try ProcessDirectory(pid).stat()
            if !stat.state.hasEnded {
                result.process = try process(pid, stat, eye: pid, &result)
            } else if let living = try EndedLeader.survivor(of: pid) {
                result.process = try process(pid, living.stat, eye: living.tid, &result)
            } else {
                result.process = try zombie(pid, stat)
            }
        } catch {
            // What could not be read of one that has gone was on its way out.
            if error.isGone { return Result() }
            result.obstacles.append(
                Problem(
                    .objectUnreadable, "its state cannot be read (\(error.description))", object: .init(pid: pid),
                    cause: error.errno.map { .init($0, attempted: "read of \(error.file)") },
                    remedy: "Run Apus as root, with /proc mounted"))
        }
        return result
    }

    private func zombie(_ pid: Int32, _ stat: TaskStat) throws(ProcfsError) -> SurveyedProcess {
        SurveyedProcess(
            pid: pid, eye: pid, stat: stat, status: try ProcessDirectory(pid).status(), threads: [], areas: [],
            files: [:], descriptors: [], places: nil, timers: [])
    }

    /// - Parameter eye: one of its threads that lives.
    private func process(
        _ pid: Int32, _ stat: TaskStat, eye: Int32, _ result: inout Result
    ) throws(ProcfsError) -> SurveyedProcess {
        let directory = ProcessDirectory(eye)
        let name = String(decoding: stat.name, as: UTF8.self)
        var areas: [(area: MappedArea, kind: AreaKind)] = []
        var files: [UInt64: NamedFile] = [:]
        let mappings = try known.areas(of: eye)
        result.isAssumed = mappings.areAssumed
        result.flags = mappings.flags
        areas.reserveCapacity(mappings.areas.count)
        for area in mappings.areas {
            do throws(Problem) {
                let kind = try area.kind(of: eye, process: name)
                areas.append((area, kind))
                if kind == .privateFile || kind == .sharedFile {
                    files[area.range.lowerBound] = try file(of: area, eye, name)
                }
            } catch {
                // One reason that holds for all mappings, or for all of one file, is told once.
                let isKnown = result.obstacles.contains {
                    $0.code == error.code && $0.summary == error.summary
                        && ($0.object.path == error.object.path || error.cause?.errno == .notPermitted)
                }
                if !isKnown { result.obstacles.append(error) }
            }
        }
        let places = SurveyedProcess.Places(
            executable: try named("exe", directory), workingDirectory: try named("cwd", directory),
            root: try named("root", directory))
        var threads = try directory.threads()
        // Those of the kernel, which carry requests out, come and go as it likes.
        if areas.contains(where: { $0.kind == .requestRing }) { threads.removeAll { isRequestWorker($0, of: eye) } }
        return SurveyedProcess(
            pid: pid, eye: eye, stat: stat, status: try directory.status(), threads: threads,
            areas: areas, files: files, descriptors: try descriptors(directory, eye, name), places: places,
            timers: try directory.timers())
    }

    /// Whether a thread is one of the kernel's.
    private func isRequestWorker(_ tid: Int32, of pid: Int32) -> Bool {
        (try? ProcessDirectory(pid, thread: tid).stat().isRequestWorker) ?? false
    }

    private func descriptors(
        _ directory: ProcessDirectory, _ eye: Int32, _ name: String
    ) throws(ProcfsError) -> [SeenDescriptor] {
        var descriptors: [SeenDescriptor] = []
        let numbers = try directory.descriptors()
        // One process may have as many as a thousand others.
        let looks = Workers.map(numbers.count, worthwhile: 256) { place -> Swift.Result<SeenDescriptor, ProcfsError> in
            do throws(ProcfsError) {
                return .success(try SeenDescriptor(numbers[place], of: eye, in: directory, process: name))
            } catch {
                return .failure(error)
            }
        }
        for look in looks {
            do throws(ProcfsError) {
                descriptors.append(try look.get())
            } catch {
                // Closed since the list was read; a frozen process closes nothing.
                if error.isGone && (try? directory.stat()) != nil { continue }
                throw error
            }
        }
        return descriptors
    }

    private func named(_ link: FilePath.Component, _ directory: ProcessDirectory) throws(ProcfsError) -> NamedFile {
        let path = directory.path.appending(link)
        let text = try directory.link(link)
        do throws(Errno) {
            return NamedFile(shownAs: FilePath(bytes: text), try Files.status(of: path), at: path)
        } catch {
            throw ProcfsError(file: path, reason: .unreadable(error))
        }
    }

    /// The file behind a mapping.
    private func file(of area: MappedArea, _ pid: Int32, _ process: String) throws(Problem) -> NamedFile {
        let text = area.shownPath
        let identity = FileIdentity(device: area.device, inode: area.inode, path: text, isShared: area.isShared)
        if let known = files.withLock({ $0[identity] }) { return known }
        let path = FilePath(bytes: text)
        let object = Problem.Object(pid: pid, process: process, path: path.string, address: area.range.lowerBound)
        let status: FileStatus
        do throws(Errno) {
            status = try Files.status(of: SurveyedProcess.place(of: area, in: pid))
        } catch {
            throw Problem(
                .objectUnreadable, "the mapped file cannot be looked at", object: object,
                cause: .init(error, attempted: "stat(\"\(SurveyedProcess.place(of: area, in: pid))\")"),
                remedy: "Run Apus as root (CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE)")
        }
        let file = NamedFile(shownAs: path, status, at: SurveyedProcess.place(of: area, in: pid))
        if let problem = file.obstacle(object, isShared: area.isShared, ghostLimit: ghostLimit, linking: linking) {
            throw problem
        }
        files.withLock { $0[identity] = file }
        return file
    }
}
