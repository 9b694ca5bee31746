public import Diagnostics
internal import ImageMessages
public import SwiftProtobuf

/// A kind of framed image whose message type is known only when the program runs: for tools that take any file.
public struct AnyImageKind: Sendable {
    public let layout: ImageLayout
    /// The message that the file repeats.
    public let entryType: any Message.Type
    private let read: @Sendable (ImageFile) throws(Problem) -> [Record]

    /// One message, and the bytes of the file behind it that belong to it.
    public struct Record: Sendable {
        public var entry: any Message
        public var payload: Range<UInt64>
    }

    init<Entry: Message>(_ kind: ImageKind<Entry>) {
        layout = kind.layout
        entryType = Entry.self
        read = { file throws(Problem) in
            try kind.records(in: file).map { Record(entry: $0.entry, payload: $0.payload) }
        }
    }

    /// A page map: one `PagemapHead`, then the entries.
    init(pagemap kind: ImageKind<PagemapEntry>) {
        layout = kind.layout
        entryType = PagemapEntry.self
        read = { file throws(Problem) in
            var cursor = FrameCursor(file)
            try cursor.passHeader(of: kind.layout)
            let head = try cursor.frame(PagemapHead.self)
            var records = [Record(entry: head, payload: cursor.offset..<cursor.offset)]
            while !cursor.isAtEnd {
                let entry = try cursor.frame(PagemapEntry.self)
                records.append(Record(entry: entry, payload: cursor.offset..<cursor.offset))
            }
            return records
        }
    }

    /// Reads all of a file's records; of a page map, the head too.
    ///
    /// - Throws: `image-bad-magic`, `image-truncated`, `image-bad-frame`, `image-unreadable`.
    public func records(in file: ImageFile) throws(Problem) -> [Record] { try read(file) }

    /// The kind and the id of a file with this name; nil where no kind has such a name.
    public static func named(_ fileName: String) -> (kind: AnyImageKind, id: UInt64)? {
        for kind in all {
            if let id = kind.layout.id(inFileName: fileName) { return (kind, id) }
        }
        return nil
    }
}

extension AnyImageKind {
    /// Every framed kind.
    public static let all: [AnyImageKind] = [
        // Tasks.
        Self(.inventory), Self(.pstree), Self(.core), Self(.ids), Self(.mm), Self(pagemap: .pagemap),
        Self(pagemap: .shmemPagemap), Self(.fs), Self(.fdinfo), Self(.seccomp), Self(.apparmor), Self(.cgroup),
        Self(.cpuinfo), Self(.fileLocks), Self(.dumpStatistics), Self(.restoreStatistics), Self(.irmapCache),
        Self(.itimers), Self(.posixTimers), Self(.creds), Self(.signalActions), Self(.rlimits), Self(.vmas),
        Self(.sharedSignals), Self(.threadSignals),
        // Open files.
        Self(.files), Self(.regularFiles), Self(.externalFiles), Self(.namespaceFiles), Self(.eventfds), Self(.epolls),
        Self(.epollTargets), Self(.signalfds), Self(.inotifies), Self(.inotifyWatches), Self(.fanotifies),
        Self(.fanotifyMarks), Self(.pipes), Self(.fifos), Self(.pipesData), Self(.fifosData), Self(.unixSockets),
        Self(.inetSockets), Self(.packetSockets), Self(.netlinkSockets), Self(.socketQueues), Self(.tcpStream),
        Self(.remaps), Self(.ghostFile), Self(.memfdInodes), Self(.ttyFiles), Self(.ttyInfo), Self(.ttyData),
        Self(.tunFiles), Self(.timerfds), Self(.bpfMaps), Self(.bpfMapData), Self(.pidfds),
        // Namespaces.
        Self(.uts), Self(.ipcSettings), Self(.ipcSharedMemory), Self(.ipcMessages), Self(.ipcSemaphores), Self(.mounts),
        Self(.netDevices), Self(.net), Self(.autofs), Self(.binaryFormats), Self(.user), Self(.time), Self(.pid),
    ]
}
