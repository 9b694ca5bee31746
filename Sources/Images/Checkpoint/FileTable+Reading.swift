internal import Diagnostics
internal import ImageMessages
internal import SystemPackage

// New dumps have all descriptions in `files.img`. Old ones have a file for each type, and dumps in between have both
// for some types; the watched descriptors of epoll, inotify and fanotify also stood in files of their own once.

extension FileTable {
    /// Reads all descriptions, old and new.
    init(reading directory: ImageDirectory) throws(Problem) {
        self.init()
        for entry in try directory.messages(.files) {
            guard entry.innerID == entry.id else {
                throw .image(
                    .imageInvalid, directory.path.appending("files.img"),
                    "description \(entry.id) of type \(entry.type) has no content of that type and id")
            }
            entries[Key(entry.type, entry.id)] = entry
        }
        try readOldSockets(directory)
        try readOldFiles(directory)
        try readOldWatches(directory)
    }

    private mutating func add<Entry>(
        _ old: [Entry], _ type: FdTypes, _ field: WritableKeyPath<FileEntry, Entry>, _ id: KeyPath<Entry, UInt32>
    ) {
        for content in old {
            var entry = FileEntry()
            entry.type = type
            entry.id = content[keyPath: id]
            entry[keyPath: field] = content
            entries[Key(type, entry.id)] = entry
        }
    }

    private mutating func readOldSockets(_ directory: ImageDirectory) throws(Problem) {
        add(try directory.messages(.unixSockets), .unixsk, \.usk, \.id)
        add(try directory.messages(.inetSockets), .inetsk, \.isk, \.id)
        add(try directory.messages(.packetSockets), .packetsk, \.psk, \.id)
        add(try directory.messages(.netlinkSockets), .netlinksk, \.nlsk, \.id)
    }

    private mutating func readOldFiles(_ directory: ImageDirectory) throws(Problem) {
        add(try directory.messages(.regularFiles), .reg, \.reg, \.id)
        add(try directory.messages(.pipes), .pipe, \.pipe, \.id)
        add(try directory.messages(.fifos), .fifo, \.fifo, \.id)
        add(try directory.messages(.ttyFiles), .tty, \.tty, \.id)
        add(try directory.messages(.eventfds), .eventfd, \.efd, \.id)
        add(try directory.messages(.epolls), .eventpoll, \.epfd, \.id)
        add(try directory.messages(.signalfds), .signalfd, \.sgfd, \.id)
        add(try directory.messages(.timerfds), .timerfd, \.tfd, \.id)
        add(try directory.messages(.inotifies), .inotify, \.ify, \.id)
        add(try directory.messages(.fanotifies), .fanotify, \.ffy, \.id)
        add(try directory.messages(.namespaceFiles), .ns, \.nsf, \.id)
        add(try directory.messages(.tunFiles), .tunf, \.tunf, \.id)
        add(try directory.messages(.externalFiles), .ext, \.ext, \.id)
        add(try directory.messages(.bpfMaps), .bpfmap, \.bpf, \.id)
        add(try directory.messages(.pidfds), .pidfd, \.pidfd, \.id)
    }

    private mutating func readOldWatches(_ directory: ImageDirectory) throws(Problem) {
        for target in try directory.messages(.epollTargets) {
            entries[Key(.eventpoll, target.id)]?.epfd.tfd.append(target)
        }
        for watch in try directory.messages(.inotifyWatches) {
            entries[Key(.inotify, watch.id)]?.ify.wd.append(watch)
        }
        for mark in try directory.messages(.fanotifyMarks) {
            entries[Key(.fanotify, mark.id)]?.ffy.mark.append(mark)
        }
    }
}

extension FileEntry {
    /// The id that the content itself has; nil where the content is missing or of another type.
    var innerID: UInt32? {
        switch type {
        case .reg: hasReg ? reg.id : nil
        case .pipe: hasPipe ? pipe.id : nil
        case .fifo: hasFifo ? fifo.id : nil
        case .inetsk: hasIsk ? isk.id : nil
        case .unixsk: hasUsk ? usk.id : nil
        case .eventfd: hasEfd ? efd.id : nil
        case .eventpoll: hasEpfd ? epfd.id : nil
        case .inotify: hasIfy ? ify.id : nil
        case .signalfd: hasSgfd ? sgfd.id : nil
        case .packetsk: hasPsk ? psk.id : nil
        case .tty: hasTty ? tty.id : nil
        case .fanotify: hasFfy ? ffy.id : nil
        case .netlinksk: hasNlsk ? nlsk.id : nil
        case .ns: hasNsf ? nsf.id : nil
        case .tunf: hasTunf ? tunf.id : nil
        case .ext: hasExt ? ext.id : nil
        case .timerfd: hasTfd ? tfd.id : nil
        case .memfd: hasMemfd ? memfd.id : nil
        case .bpfmap: hasBpf ? bpf.id : nil
        case .pidfd: hasPidfd ? pidfd.id : nil
        case .und, .ctlTty, .autofsPipe: nil
        }
    }
}
