internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage

extension HeldByProcess {
    init(_ process: SurveyedProcess) {
        pid = process.pid
        parent = process.stat.parent
        name = process.name
        // One that is just ending has no command line left.
        let words = (try? ProcessDirectory(process.pid).commandLine()) ?? []
        command = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        state = process.isZombie ? "ended" : process.stat.state.words
        threads = process.threads.count
        timers = process.timers.count
        var memory: [Memory] = []
        for (area, kind) in process.areas {
            guard let name = kind.words else { continue }
            let index = memory.firstIndex { $0.kind == name } ?? memory.endIndex
            if index == memory.endIndex { memory.append(Memory(kind: name)) }
            memory[index].mappings += 1
            memory[index].mapped += area.size
            guard let details = area.details else { continue }
            memory[index].own += (kind.isSharedContent ? details.resident : details.anonymous) + details.swapped
        }
        self.memory = memory
        descriptors = process.descriptors.map {
            Descriptor(number: $0.number, kind: DescriptionKinds.label(of: $0), name: $0.linkText)
        }
        locks = process.descriptors.reduce(0) { $0 + $1.info.locks.count }
        terminal = Self.terminal(process.stat.terminal)
    }

    /// The number alone is told where no name is known.
    private static func terminal(_ device: DeviceNumber) -> String? {
        switch device.major {
        case 0: nil
        // Eight majors of 256 slaves each (the kernel's devices.txt).
        case 136...143: "/dev/pts/\((device.major - 136) << 8 | device.minor)"
        case 4 where device.minor < 64: "/dev/tty\(device.minor)"
        case 4: "/dev/ttyS\(device.minor - 64)"
        default: "device \(device.major):\(device.minor)"
        }
    }
}

extension AreaKind {
    /// What people call it; nil for what the kernel puts into every process.
    fileprivate var words: String? {
        switch self {
        case .privateAnonymous: "private memory"
        case .heap: "heap"
        case .privateFile: "mapped files"
        case .sharedFile: "files mapped shared"
        case .sharedMemory: "shared memory"
        case .systemV: "System V shared memory"
        case .asyncIO: "rings of asynchronous I/O"
        case .requestRing: "memory of io_uring"
        case .packetRing: "rings of packet sockets"
        case .vdso, .vvar, .vsyscall: nil
        }
    }

    /// Its pages are stored although they are nobody's own.
    fileprivate var isSharedContent: Bool {
        switch self {
        case .sharedMemory, .systemV: true
        case .privateAnonymous, .heap, .privateFile, .sharedFile, .asyncIO, .requestRing, .packetRing, .vdso, .vvar,
            .vsyscall:
            false
        }
    }
}

extension TaskState {
    /// For people.
    fileprivate var words: String {
        switch self {
        case .running: "running"
        case .sleeping, .idle, .parked: "sleeping"
        case .uninterruptible: "waiting in the kernel"
        case .stopped: "stopped"
        case .traced: "traced"
        case .zombie, .dead: "ended"
        case .other(let letter): "state \(Character(Unicode.Scalar(letter)))"
        }
    }
}
