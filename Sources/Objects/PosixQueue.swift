public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A POSIX message queue (mq_overview(7)): a file of a file system of its own, also where that is mounted nowhere.
///
/// A message can be looked at by taking it out only. So the process takes all out and puts all back, in the same order,
/// in one batch: once begun, it makes all of its calls even if Apus is killed meanwhile, and while it stands still nobody of the
/// tree sees anything of it. Where processes outside of the tree have the queue open, they would: it is left as it is.
public enum PosixQueue: DescriptionKind {
    public static let name = "POSIX message queue"

    /// The size that files of queues have (FILENT_SIZE of ipc/mqueue.c).
    private static let fileSize: UInt64 = 80
    private static let deleted = " (deleted)"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        guard seen.hasPath, seen.status.kind == .regular, seen.status.size == fileSize else { return false }
        return PosixQueues.isQueue(at: place(of: seen))
    }

    static func place(of seen: SeenDescriptor) -> FilePath {
        ProcessDirectory(seen.pid).path.appending("fd").appending("\(seen.number)")
    }

    /// The name of the queue, without the slash.
    static func name(of seen: SeenDescriptor) -> [UInt8] {
        var link = seen.link[...]
        if seen.status.linkCount == 0 { link = link.dropLast(deleted.utf8.count) }
        return Array(link.suffix(from: link.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? link.startIndex))
    }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        guard let outsider = circumstances.queueHolders[seen.status.inode] else { return nil }
        if seen.status.linkCount == 0 {
            return Problem(
                .leadsOutside,
                "process \(outsider) outside of the tree has the queue open, too, which has no name any more",
                object: seen.object, remedy: "Dump the processes that share it together, by a parent of all")
        }
        guard let registered = QueueRegistration(seen), circumstances.pids.contains(registered.owner) else {
            return nil
        }
        return Problem(
            .leadsOutside,
            "process \(registered.owner) is to be notified of a message in the queue (mq_notify), and process \(outsider) outside"
                + " of the tree has it open, too: with which value cannot be found out without its noticing",
            object: seen.object, remedy: "Dump the processes that share it together, by a parent of all")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        let name = name(of: seen)
        // Where the file system is mounted by custom, and others find it.
        file.path = FilePath(bytes: Array("/dev/mqueue/".utf8) + name)
        let own = try descriptions.open(seen)
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        let attributes: PosixQueues.Attributes
        do throws(Errno) { attributes = try PosixQueues.attributes(own.raw) } catch {
            throw descriptions.unreadable(seen, error, "mq_getsetattr")
        }
        var members: [JSON.Member] = [
            .init("inode", .number(seen.status.inode)), .init("name", .string(Hexadecimal.text(name))),
            .init("capacity", .number(attributes.capacity)), .init("size", .number(attributes.messageSize)),
            .init("uid", .number(seen.status.uid)), .init("gid", .number(seen.status.gid)),
            .init("unlinked", .bool(seen.status.linkCount == 0)),
        ]
        if let outsider = descriptions.circumstances.queueHolders[seen.status.inode] {
            descriptions.note(
                loss:
                    "process \(seen.pid), descriptor \(seen.number): process \(outsider) outside of the tree has this message"
                    + " queue open, too: what is in it is not in the images and stays there; elsewhere the restore finds none"
            )
            members.append(.init("left", true))
        }
        descriptions.capturedQueues.append(
            CapturedQueue(seen: seen, id: file.id, count: attributes.count, members: members))
        RegularFile.add(file, to: descriptions)
        return DescriptionKey(.reg, file.id)
    }
}
