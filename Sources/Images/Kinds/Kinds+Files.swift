internal import Diagnostics
public import ImageMessages

// The images of open file descriptions. New dumps have them all in `files.img`; old ones in a file for each type.

extension ImageKind where Entry == FileEntry {
    public static var files: Self { Self("FILES", "files.img", .common(0x5630_3138)) }
}

extension ImageKind where Entry == RegFileEntry {
    public static var regularFiles: Self { Self("REG_FILES", "reg-files.img", .common(0x5036_3636)) }
}

extension ImageKind where Entry == ExtFileEntry {
    public static var externalFiles: Self { Self("EXT_FILES", "ext-files.img", .common(0x5925_5641)) }
}

extension ImageKind where Entry == NsFileEntry {
    public static var namespaceFiles: Self { Self("NS_FILES", "ns-files.img", .common(0x6139_4011)) }
}

extension ImageKind where Entry == EventfdFileEntry {
    public static var eventfds: Self { Self("EVENTFD_FILE", "eventfd.img", .common(0x4452_3722)) }
}

extension ImageKind where Entry == EventpollFileEntry {
    public static var epolls: Self { Self("EVENTPOLL_FILE", "eventpoll.img", .common(0x4502_3858)) }
}

extension ImageKind where Entry == EventpollTfdEntry {
    /// What old epoll sets watch; the id is that of the set.
    public static var epollTargets: Self { Self("EVENTPOLL_TFD", "eventpoll-tfd.img", .common(0x4443_3746)) }
}

extension ImageKind where Entry == SignalfdEntry {
    public static var signalfds: Self { Self("SIGNALFD", "signalfd.img", .common(0x5732_3820)) }
}

extension ImageKind where Entry == InotifyFileEntry {
    public static var inotifies: Self { Self("INOTIFY_FILE", "inotify.img", .common(0x4842_4431)) }
}

extension ImageKind where Entry == InotifyWdEntry {
    /// What old inotify descriptors watch; the id is that of the descriptor.
    public static var inotifyWatches: Self { Self("INOTIFY_WD", "inotify-wd.img", .common(0x5456_2009)) }
}

extension ImageKind where Entry == FanotifyFileEntry {
    public static var fanotifies: Self { Self("FANOTIFY_FILE", "fanotify.img", .common(0x5509_6122)) }
}

extension ImageKind where Entry == FanotifyMarkEntry {
    /// What old fanotify descriptors watch; the id is that of the descriptor.
    public static var fanotifyMarks: Self { Self("FANOTIFY_MARK", "fanotify-mark.img", .common(0x5650_6035)) }
}

extension ImageKind where Entry == PipeEntry {
    public static var pipes: Self { Self("PIPES", "pipes.img", .common(0x5651_3555)) }
}

extension ImageKind where Entry == FifoEntry {
    public static var fifos: Self { Self("FIFO", "fifo.img", .common(0x5836_4939)) }
}

extension ImageKind where Entry == PipeDataEntry {
    /// What is queued in pipes, as payload.
    public static var pipesData: Self {
        Self("PIPES_DATA", "pipes-data.img", .common(0x5645_3709)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.bytes))
        }
    }
    /// What is queued in named pipes, as payload.
    public static var fifosData: Self {
        Self("FIFO_DATA", "fifo-data.img", .common(0x5933_3054)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.bytes))
        }
    }
}

extension ImageKind where Entry == UnixSkEntry {
    public static var unixSockets: Self { Self("UNIXSK", "unixsk.img", .common(0x5437_3943)) }
}

extension ImageKind where Entry == InetSkEntry {
    public static var inetSockets: Self { Self("INETSK", "inetsk.img", .common(0x5644_3851)) }
}

extension ImageKind where Entry == PacketSockEntry {
    public static var packetSockets: Self { Self("PACKETSK", "packetsk.img", .common(0x6045_4618)) }
}

extension ImageKind where Entry == NetlinkSkEntry {
    public static var netlinkSockets: Self { Self("NETLINK_SK", "netlinksk.img", .common(0x5800_5614)) }
}

extension ImageKind where Entry == SkPacketEntry {
    /// Packets queued in sockets, as payload.
    public static var socketQueues: Self {
        Self("SK_QUEUES", "sk-queues.img", .common(0x5626_4026)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.length))
        }
    }
}

extension ImageKind where Entry == TcpStreamEntry {
    /// One connection, by inode; payload: what was received and not read, then what was sent and not acknowledged.
    public static var tcpStream: Self {
        Self("TCP_STREAM", "tcp-stream-%x.img", .common(0x5146_5506)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.inqLen) + UInt64(entry.outqLen))
        }
    }
}

extension ImageKind where Entry == RemapFilePathEntry {
    public static var remaps: Self { Self("REMAP_FPATH", "remap-fpath.img", .common(0x5913_3954)) }
}

extension ImageKind where Entry == GhostFileEntry {
    /// A file that was deleted while open; payload: its content, whole or in chunks (see ``ImageDirectory/ghost(id:)``).
    public static var ghostFile: Self {
        Self("GHOST_FILE", "ghost-file-%x.img", .common(0x5258_3605)) { entry, cursor throws(Problem) in
            guard entry.chunks else { return try cursor.skip(cursor.remaining) }
            while !cursor.isAtEnd {
                try cursor.skip(cursor.frame(GhostChunkEntry.self).len)
            }
        }
    }
}

extension ImageKind where Entry == MemfdInodeEntry {
    public static var memfdInodes: Self { Self("MEMFD_INODE", "memfd.img", .common(0x4845_3499)) }
}

extension ImageKind where Entry == TtyFileEntry {
    public static var ttyFiles: Self { Self("TTY_FILES", "tty.img", .common(0x5943_3025)) }
}

extension ImageKind where Entry == TtyInfoEntry {
    public static var ttyInfo: Self { Self("TTY_INFO", "tty-info.img", .common(0x5945_3036)) }
}

extension ImageKind where Entry == TtyDataEntry {
    public static var ttyData: Self { Self("TTY_DATA", "tty-data.img", .common(0x5941_3026)) }
}

extension ImageKind where Entry == TunfileEntry {
    public static var tunFiles: Self { Self("TUNFILE", "tunfile.img", .common(0x5714_3751)) }
}

extension ImageKind where Entry == TimerfdEntry {
    public static var timerfds: Self { Self("TIMERFD", "timerfd.img", .common(0x5049_3712)) }
}

extension ImageKind where Entry == BpfmapFileEntry {
    public static var bpfMaps: Self { Self("BPFMAP_FILE", "bpfmap-file.img", .common(0x5750_6142)) }
}

extension ImageKind where Entry == BpfmapDataEntry {
    /// The content of BPF maps; payload: all keys, then all values.
    public static var bpfMapData: Self {
        Self("BPFMAP_DATA", "bpfmap-data.img", .common(0x6432_4033)) { entry, cursor throws(Problem) in
            try cursor.skip(UInt64(entry.keysBytes) + UInt64(entry.valuesBytes))
        }
    }
}

extension ImageKind where Entry == PidfdEntry {
    public static var pidfds: Self { Self("PIDFD", "pidfd.img", .common(0x5443_5556)) }
}
