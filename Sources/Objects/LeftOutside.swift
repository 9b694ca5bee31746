public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// Things that the dump leaves outside because the user said so (`--external KEY`), and in whose place the caller of the
/// restore gives a descriptor (`--inherit-fd fd[N]:KEY`).
///
/// The keys are CRIU's (criu(8)): `file[MOUNT:INODE]` in hexadecimal, `pipe:[INODE]`, and for a Unix socket
/// `unix[INODE]` at the dump and `socket:[INODE]` at the restore. A file can also be replaced at the restore alone, by
/// its path without the leading slash. That something was left outside stands in the supplement: without it a pipe
/// would be made anew, with nobody at its other end.
enum LeftOutside {
    /// What a user is told who could provide the thing.
    static func remedy(dump: String, restore: String? = nil) -> String {
        "Or provide it at the restore: dump with --external '\(dump)', restore with --inherit-fd 'fd[N]:\(restore ?? dump)'"
    }

    /// Nothing was given in the place of something that was left outside.
    static func missing(_ what: String, _ key: String) -> Problem {
        Problem(
            .inheritedDescriptor, "\(what) was left outside at the dump, and nothing is given in its place",
            object: .init(path: key),
            remedy: "Open what is to take its place as descriptor N of Apus, and give --inherit-fd 'fd[N]:\(key)'")
    }

    /// What is wrong with a descriptor that stands in for a thing; nil where nothing is.
    ///
    /// - Parameters:
    ///   - kinds: what it may be; empty for anything.
    ///   - flags: how the program has the thing open.
    static func problem(
        with descriptor: Int32, for key: String, kinds: [FileStatus.Kind] = [], flags: OpenFlags
    ) -> Problem? {
        let object = Problem.Object(fd: descriptor, path: key)
        do throws(Errno) {
            let actual = try Files.statusFlags(descriptor)
            let status = try Files.status(of: FilePath("/proc/self/fd/\(descriptor)"))
            if let kind = status.kind, !kinds.isEmpty, !kinds.contains(kind) {
                return Problem(
                    .inheritedDescriptor, "descriptor \(descriptor) is nothing that could stand in for \(key)",
                    object: object, remedy: "Give a descriptor of the same kind")
            }
            // A pipe that is given by one end has the other, too (see `PipeEnd`).
            if status.kind != .fifo, (flags.canRead && !actual.canRead) || (flags.canWrite && !actual.canWrite) {
                return Problem(
                    .inheritedDescriptor,
                    "descriptor \(descriptor) is not open for what the program does with \(key)",
                    object: object,
                    remedy: "Open it to \(flags.canRead ? flags.canWrite ? "read and write" : "read" : "write")")
            }
            return nil
        } catch {
            return Problem(
                .inheritedDescriptor, "descriptor \(descriptor), which is to stand in for \(key), is not open",
                object: object, cause: .init(error, attempted: "fcntl(\(descriptor), F_GETFL)"),
                remedy: "Open it before Apus is started, for example with `\(descriptor)<>FILE` in the shell")
        }
    }
}

extension Descriptions {
    /// Notes that something stays outside.
    func leaveOutside(_ key: String) { supplement[.external, key] = true }
}

extension RestoreSite {
    /// What of `--inherit-fd` names nothing that the images have.
    public func uselessSubstitutes(_ resources: [any Resource]) -> [Problem] {
        let keys = Set(resources.flatMap(\.keys))
        return inherited.filter { !keys.contains($0.key) }.sorted { $0.value < $1.value }.map { key, descriptor in
            let similar = keys.filter { $0.prefix { $0 != "[" } == key.prefix { $0 != "[" } && key.contains("[") }
            let known = similar.sorted().prefix(5).joined(separator: ", ")
            return Problem(
                .inheritedDescriptor, "nothing in the images is called \(key)",
                object: .init(fd: descriptor, path: key),
                remedy: known.isEmpty
                    ? "Leave the option out; `apus show` lists what there is, `apus restore --dry-run` what is opened"
                    : "They have \(known)")
        }
    }
}
