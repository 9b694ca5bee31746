public import Diagnostics

/// The table of the kinds of open file descriptions that Apus carries.
public enum DescriptionKinds {
    /// In the order in which they are asked: whoever needs to look closer comes first.
    public static let all: [any DescriptionKind.Type] = [
        TerminalFile.self,
        HostTerminal.self,
        Pipe.self,
        NamedPipe.self,
        SharedMemoryFile.self,
        PosixQueue.self,
        Eventfd.self,
        Epoll.self,
        Timerfd.self,
        Signalfd.self,
        Inotify.self,
        Fanotify.self,
        IoUring.self,
        BpfMap.self,
        Pidfd.self,
        NamespaceFile.self,
        UnixSocket.self,
        InetSocket.self,
        RawSocket.self,
        PacketSocket.self,
        NetlinkSocket.self,
        RegularFile.self,
        Tunnel.self,
        RealTimeClock.self,
        Device.self,
    ]

    /// The kind of a descriptor, nil where Apus carries no such thing.
    public static func kind(of seen: SeenDescriptor) -> (any DescriptionKind.Type)? {
        all.first { $0.recognises(seen) }
    }

    /// What people call a descriptor, also one that Apus does not carry.
    public static func label(of seen: SeenDescriptor) -> String {
        kind(of: seen)?.label(of: seen) ?? RefusedKind.name(of: seen)
    }

    /// Why a descriptor cannot be carried, nil where it can.
    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if let lock = FileLocks.obstacle(to: seen, circumstances) { return lock }
        guard let kind = kind(of: seen) else { return RefusedKind.problem(of: seen) }
        return kind.obstacle(to: seen, circumstances)
    }
}
