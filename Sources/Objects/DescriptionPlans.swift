public import Diagnostics
public import Images

/// From the kinds of open file description in the images to what opens them: the one place that lists them.
public enum DescriptionPlans {
    /// What opens a description.
    ///
    /// - Parameter mappedAs: flags of open(2) that a mapping of the description asks for.
    /// - Throws: `object-unsupported` for a kind that Apus does not restore, naming it.
    public static func resource(
        for key: FileTable.Key, in images: CheckpointImages, pages layers: PageLayers, mappedAs: UInt32? = nil
    ) throws(Problem) -> any Resource {
        guard let entry = images.files.entries[key] else {
            throw Problem(
                .objectUnsupported, "the images have no file \(key)", remedy: "Copy the images again, all of them")
        }
        if let deleted = UnnamedFile.find(key, in: images, mappedAs: mappedAs) { return deleted }
        if key.type == .reg, entry.hasReg { return NamedFile(entry.reg, mappedAs: mappedAs) }
        if key.type == .pipe, entry.hasPipe {
            return PipeEnd(entry.pipe, content: images.pipes[entry.pipe.pipeID])
        }
        if key.type == .unixsk, entry.hasUsk {
            return try UnixSocketEnd(entry.usk, in: images.unixSockets, images.supplement)
        }
        if key.type == .fifo, entry.hasFifo, let file = images.files.regular(entry.fifo.regfID) {
            return NamedPipeEnd(entry.fifo, file, content: images.pipes[entry.fifo.pipeID])
        }
        if key.type == .inetsk, entry.hasIsk {
            let stream = images.streams[entry.isk.ino]
            return try InetSocketEnd(
                entry.isk, stream: stream.map { TCPStreamImage($0.entry, queues: $0.queues) }, images.supplement)
        }
        if key.type == .netlinksk, entry.hasNlsk { return try NetlinkSocketEnd(entry.nlsk, images.supplement) }
        if key.type == .tty, entry.hasTty, let info = images.terminals[entry.tty.ttyInfoID] {
            return OutsideTerminal(entry.tty, info: info)
        }
        if key.type == .memfd, entry.hasMemfd,
            let inode = images.memfds.first(where: { $0.inodeID == UInt64(entry.memfd.inodeID) })
        {
            let segments = try layers.segments(.shmemPagemap, id: UInt64(inode.shmid))
            return MemoryFile(
                inode, flags: mappedAs ?? entry.memfd.flags, position: entry.memfd.pos,
                content: StoredMemory(segments: segments, layers: layers))
        }
        if let resource = event(entry, images.supplement) { return resource }
        throw Problem(
            .objectUnsupported, "the images hold \(name(of: key.type)) (id \(key.id)), which Apus cannot restore yet",
            remedy: "Restore these images with CRIU, or dump the program again without such a file")
    }

    /// What opens a descriptor of events; nil for other kinds.
    private static func event(_ entry: FileEntry, _ supplement: Supplement) -> (any Resource)? {
        if entry.hasEfd { return EventCounter(entry.efd, supplement) }
        if entry.hasTfd { return ReadTimer(entry.tfd, supplement) }
        if entry.hasSgfd { return SignalReader(entry.sgfd) }
        if entry.hasEpfd { return EventSet(entry.epfd) }
        if entry.hasIfy { return FileWatcher(entry.ify) }
        return nil
    }

    /// A kind of file in words.
    static func name(of type: FdTypes) -> String {
        switch type {
        case .und: "an open file of an unknown kind"
        case .reg: "an open file"
        case .pipe: "a pipe"
        case .fifo: "a named pipe"
        case .inetsk: "a TCP or UDP socket"
        case .unixsk: "a Unix socket"
        case .eventfd: "an eventfd"
        case .eventpoll: "an epoll descriptor"
        case .inotify: "an inotify descriptor"
        case .signalfd: "a signalfd"
        case .packetsk: "a packet socket"
        case .tty, .ctlTty: "a terminal"
        case .fanotify: "a fanotify descriptor"
        case .netlinksk: "a netlink socket"
        case .ns: "a namespace file"
        case .tunf: "a tun device"
        case .ext: "an external file"
        case .timerfd: "a timerfd"
        case .memfd: "a memfd"
        case .bpfmap: "a BPF map"
        case .pidfd: "a pidfd"
        case .autofsPipe: "an autofs pipe"
        }
    }

    /// To whom a description sends signals (F_SETOWN, F_SETSIG), or nil.
    public static func owner(of key: FileTable.Key, in images: CheckpointImages) -> FownEntry? {
        guard let entry = images.files.entries[key] else { return nil }
        let owner: FownEntry? =
            switch key.type {
            case .reg: entry.reg.fown
            case .pipe: entry.pipe.fown
            case .tty: entry.tty.fown
            case .memfd: entry.memfd.fown
            case .eventfd: entry.efd.fown
            case .eventpoll: entry.epfd.fown
            case .signalfd: entry.sgfd.fown
            case .timerfd: entry.tfd.fown
            case .inotify: entry.ify.fown
            case .fifo: images.files.regular(entry.fifo.regfID)?.fown
            case .unixsk: entry.usk.fown
            case .inetsk: entry.isk.fown
            case .netlinksk: entry.nlsk.fown
            case .und, .packetsk, .ctlTty, .fanotify, .ns, .tunf, .ext, .bpfmap,
                .pidfd, .autofsPipe:
                nil
            }
        guard let owner, owner.pid != 0 || owner.signum != 0 else { return nil }
        return owner
    }
}
