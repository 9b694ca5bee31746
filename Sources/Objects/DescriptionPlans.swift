public import Diagnostics
public import Images
internal import Linux
internal import SystemPackage

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
        if key.type == .reg, let queue = images.supplement[.mqueue, key.id] {
            let all = images.supplement.keys(of: .mqueue).compactMap { images.supplement[.mqueue, $0] }
            return try PosixQueueFile(entry.reg, queue, among: all)
        }
        if key.type == .reg, let ring = images.supplement[.uring, key.id] {
            return try RequestRingFile(entry.reg, ring)
        }
        if let linked = LinkedFile.find(key, in: images, mappedAs: mappedAs) { return linked }
        if let ended = EndedProcessFile.find(key, in: images, mappedAs: mappedAs) { return ended }
        if key.type == .reg, entry.hasReg {
            let process = ProcessFile.process(of: entry.reg.path)
            let isMember = process.flatMap { images.task($0) } != nil
            return NamedFile(entry.reg, mappedAs: mappedAs, ofProcess: isMember)
        }
        if key.type == .pipe, entry.hasPipe {
            return try PipeEnd(entry.pipe, in: images)
        }
        if key.type == .unixsk, entry.hasUsk {
            if let outside = OutsideSocket(entry.usk, images.supplement) { return outside }
            return try UnixSocketEnd(entry.usk, in: images.unixSockets, images.supplement)
        }
        if key.type == .fifo, entry.hasFifo, let file = images.files.regular(entry.fifo.regfID) {
            return try NamedPipeEnd(entry.fifo, file, in: images)
        }
        if key.type == .inetsk, entry.hasIsk {
            if RawSocketEnd.recognises(entry.isk) { return try RawSocketEnd(entry.isk, images.supplement) }
            let stream = images.streams[entry.isk.ino]
            return try InetSocketEnd(
                entry.isk, stream: stream.map { TCPStreamImage($0.entry, queues: $0.queues) }, images.supplement,
                images.unixSockets.packets)
        }
        if key.type == .packetsk, entry.hasPsk { return try PacketSocketEnd(entry.psk, images.supplement) }
        if key.type == .netlinksk, entry.hasNlsk { return try NetlinkSocketEnd(entry.nlsk, images.supplement) }
        if key.type == .tty, entry.hasTty, let info = images.terminals[entry.tty.ttyInfoID] {
            if HostTerminalFile.recognises(info), let file = images.files.regular(entry.tty.regfID) {
                return HostTerminalFile(entry.tty, info, file)
            }
            if let master = StoredTerminal.master(of: info, in: images) {
                return try TerminalSide(entry.tty, info, of: master, in: images)
            }
            return info.hasTermios || info.type == .extTty
                ? OutsideTerminal(entry.tty, info: info, in: images) : HungUpTerminal(entry: entry.tty, info: info)
        }
        if key.type == .memfd, entry.hasMemfd,
            let inode = images.memfds.first(where: { $0.inodeID == UInt64(entry.memfd.inodeID) })
        {
            let segments = try layers.segments(.shmemPagemap, id: UInt64(inode.shmid))
            return MemoryFile(
                inode, flags: mappedAs ?? entry.memfd.flags, position: entry.memfd.pos,
                content: StoredMemory(segments: segments, layers: layers))
        }
        if let resource = try event(entry, images) { return resource }
        if entry.hasTunf, let file = images.files.regular(entry.tunf.id) {
            return try TunnelQueue(entry.tunf, file, images.supplement)
        }
        if key.type == .bpfmap, entry.hasBpf { return try BpfTable(entry.bpf, in: images) }
        if entry.hasPidfd { return try ProcessReference(entry.pidfd, in: images) }
        if entry.hasNsf { return try OpenNamespace(entry.nsf, in: images) }
        throw Problem(
            .objectUnsupported, "the images hold \(name(of: key.type)) (id \(key.id)), which Apus cannot restore yet",
            remedy: "Restore these images with CRIU, or dump the program again without such a file")
    }

    /// What opens a descriptor of events; nil for other kinds.
    private static func event(
        _ entry: FileEntry, _ images: CheckpointImages
    ) throws(Problem) -> (any Resource)? {
        if entry.hasEfd { return EventCounter(entry.efd, images.supplement) }
        if entry.hasTfd { return ReadTimer(entry.tfd, images.supplement) }
        if entry.hasSgfd { return SignalReader(entry.sgfd) }
        if entry.hasEpfd { return EventSet(entry.epfd) }
        if entry.hasFfy { return try FileNotifier(entry.ffy, in: images) }
        if entry.hasIfy { return try FileWatcher(entry.ify, in: images) }
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

    /// The status flags of a description that tells somebody by a signal that it is ready (O_ASYNC); nil for all others.
    public static func asynchronousFlags(of key: FileTable.Key, in images: CheckpointImages) -> UInt32? {
        guard let entry = images.files.entries[key] else { return nil }
        let flags: UInt32? =
            switch key.type {
            case .reg: entry.reg.flags
            case .pipe: entry.pipe.flags
            case .tty: entry.tty.flags
            case .inotify: entry.ify.flags
            case .fifo: images.files.regular(entry.fifo.regfID)?.flags
            case .unixsk: entry.usk.flags
            case .inetsk: entry.isk.flags
            case .netlinksk: entry.nlsk.flags
            case .und, .eventfd, .eventpoll, .signalfd, .timerfd, .packetsk, .ctlTty, .fanotify, .ns, .tunf, .ext,
                .memfd, .bpfmap, .pidfd, .autofsPipe:
                nil
            }
        return flags.flatMap { $0 & UInt32(bitPattern: OpenFlags.async.rawValue) == 0 ? nil : $0 }
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
            case .packetsk: entry.psk.fown
            case .bpfmap: entry.bpf.fown
            case .und, .ctlTty, .fanotify, .ns, .tunf, .ext, .pidfd, .autofsPipe:
                nil
            }
        guard let owner, owner.pid != 0 || owner.signum != 0 else { return nil }
        return owner
    }
}
