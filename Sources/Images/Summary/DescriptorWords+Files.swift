internal import ImageMessages
internal import SystemPackage

extension DescriptorWords {
    /// A regular file, a directory or a device.
    init(_ file: RegFileEntry, _ images: CheckpointImages) {
        // The upper bits of the mode are the type (inode(7)).
        let kind =
            switch file.mode & 0o170000 {
            case 0o040000: "directory"
            case 0o020000: "device"
            case 0o060000: "block device"
            case 0o010000: "fifo"
            case 0o120000: "link"
            default: "file"
            }
        let isFile = kind == "file"
        let remap = images.remaps.first { $0.origID == file.id }
        self.init(
            kind, file.path.string,
            [
                Self.access(file.flags), isFile ? "at \(file.pos)" : nil, file.ext ? "external" : nil,
                remap == nil ? nil : "deleted",
            ])
    }

    init(memfd: MemfdFileEntry, _ images: CheckpointImages) {
        let inode = images.memfds.first { $0.inodeID == UInt64(memfd.inodeID) }
        let name = inode.map { String(decoding: $0.nameBytes, as: UTF8.self) } ?? ""
        self.init("memfd", name, [Self.access(memfd.flags), "at \(memfd.pos)", inode.map { "\($0.size) bytes" }])
    }

    init(pipe: PipeEntry, _ images: CheckpointImages) {
        self.init("pipe", "\(pipe.pipeID)", [Self.end(pipe.flags), Self.queued(pipe.pipeID, images)])
    }

    init(fifo: FifoEntry, _ images: CheckpointImages) {
        let file = images.files.regular(fifo.regfID)
        self.init(
            "fifo", file?.path.string ?? "",
            [file.map { Self.access($0.flags) }, Self.queued(fifo.pipeID, images)])
    }

    init(terminal: TtyFileEntry, _ images: CheckpointImages) {
        let path = terminal.hasRegfID ? images.files.regular(terminal.regfID)?.path.string : nil
        let info = images.terminals[terminal.ttyInfoID]
        let kind =
            switch info?.type {
            case .pty: "pseudo-terminal"
            case .console: "console"
            case .vt: "virtual terminal"
            case .ctty: "controlling terminal"
            case .serial: "serial line"
            case .extTty: "external terminal"
            case .unknown, nil: "terminal"
            }
        let size = info.flatMap { $0.winsize.wsCol > 0 ? "\($0.winsize.wsCol)x\($0.winsize.wsRow)" : nil }
        self.init(kind, path ?? "", [Self.access(terminal.flags), size])
    }

    /// `read`, `write` and what else open(2) was told.
    static func access(_ flags: UInt32) -> String {
        // O_PATH stands alone.
        if flags & 0x20_0000 != 0 { return "path only" }
        var words = [["read", "write", "read-write", "no access"][Int(flags & 3)]]
        if flags & 0x400 != 0 { words.append("append") }
        if flags & 0x800 != 0 { words.append("non-blocking") }
        return words.joined(separator: " ")
    }

    private static func end(_ flags: UInt32) -> String {
        let end = ["read end", "write end", "both ends", "no end"][Int(flags & 3)]
        return flags & 0x800 == 0 ? end : end + " non-blocking"
    }

    private static func queued(_ pipe: UInt32, _ images: CheckpointImages) -> String? {
        images.pipes[pipe].map { "\($0.bytes.count) bytes queued" }
    }
}
