internal import Diagnostics
public import ImageMessages
internal import SystemPackage

extension TaskImages {
    /// Reads the images of one task but its page map, and brings those of old dumps into the new shape.
    init(
        reading entry: PstreeEntry, in directory: ImageDirectory, inventory: InventoryEntry,
        architecture: CoreEntry.March
    ) throws(Problem) {
        pid = Int32(bitPattern: entry.pid)
        parent = Int32(bitPattern: entry.ppid)
        processGroup = Int32(bitPattern: entry.pgid)
        session = Int32(bitPattern: entry.sid)
        core = try directory.core(pid, architecture: architecture)
        guard core.hasTc, let state = core.tc.state else {
            throw .image(
                .imageInvalid, directory.corePath(pid), "the image does not say in which state the task is")
        }
        self.state = state
        threads = []
        descriptors = []
        if state == .dead {
            threads = [ThreadImages(tid: pid, core: core)]
            return
        }
        guard entry.threads.isEmpty || entry.threads.contains(entry.pid) else {
            throw .image(
                .imageInvalid, directory.corePath(pid), "the task lives, but the tree has it not among its threads")
        }
        try readShared(directory, inventory)
        try OldLayout.complete(&core, pid: UInt64(entry.pid), in: directory)
        threads = [ThreadImages(tid: pid, core: core)]
        for tid in entry.threads where tid != entry.pid {
            var thread = try directory.core(Int32(bitPattern: tid), architecture: architecture)
            try OldLayout.complete(thread: &thread, tid: UInt64(tid), leader: core, in: directory)
            guard thread.hasThreadInfo else {
                throw .image(.imageInvalid, directory.corePath(Int32(bitPattern: tid)), "the image has no registers")
            }
            threads.append(ThreadImages(tid: Int32(bitPattern: tid), core: thread))
        }
        if hasLostLeader && threads.count < 2 {
            throw .image(.imageInvalid, directory.corePath(pid), "the image has no registers")
        }
    }

    /// What a task may share with others: address space, descriptor table, directories.
    private mutating func readShared(_ directory: ImageDirectory, _ inventory: InventoryEntry) throws(Problem) {
        let id = UInt64(UInt32(bitPattern: pid))
        ids = try directory.first(.ids, id: id) ?? (core.hasIds ? core.ids : nil)
        var memory = try directory.required(.mm, id: id)
        if memory.vmas.isEmpty { memory.vmas = try directory.messages(.vmas, id: id) }
        try memory.check(in: directory.path.appending(ImageKind.mm.layout.fileName(id: id)))
        self.memory = memory
        fs = try directory.required(.fs, id: id)
        try readDescriptors(directory, perTable: inventory.fdinfoPerID)
    }

    /// Reads the page map of a task that has memory; nil of one that has ended.
    func pagemap(in directory: ImageDirectory) throws(Problem) -> Pagemap? {
        guard let memory else { return nil }
        let id = UInt64(UInt32(bitPattern: pid))
        let path = directory.path.appending(ImageKind.pagemap.layout.fileName(id: id))
        guard let pagemap = try directory.pagemap(id: id) else {
            throw .image(.imageMissing, path, "the page map of process \(pid) is missing")
        }
        if let run = memory.uncovered(pagemap) {
            throw .image(
                .imageInvalid, path,
                "\(run.pages) pages at 0x\(String(run.address, radix: 16)) are not all within mappings of the process")
        }
        return pagemap
    }

    private mutating func readDescriptors(_ directory: ImageDirectory, perTable: Bool) throws(Problem) {
        let table = perTable ? UInt64(ids?.filesID ?? 0) : UInt64(UInt32(bitPattern: pid))
        descriptors = try directory.messages(.fdinfo, id: table).sorted { $0.fd < $1.fd }
        let path = directory.path.appending(ImageKind.fdinfo.layout.fileName(id: table))
        for (one, next) in zip(descriptors, descriptors.dropFirst()) where one.fd == next.fd {
            throw .image(.imageInvalid, path, "descriptor \(one.fd) is there twice")
        }
        if let last = descriptors.last, last.fd > UInt32(Int32.max) {
            throw .image(.imageInvalid, path, "\(last.fd) is no number of a descriptor")
        }
    }
}

extension ImageDirectory {
    fileprivate func corePath(_ tid: Int32) -> FilePath {
        path.appending(ImageKind.core.layout.fileName(id: UInt64(UInt32(bitPattern: tid))))
    }

    /// Reads the core of a thread and checks that it is of a processor that this machine has.
    fileprivate func core(_ tid: Int32, architecture: CoreEntry.March) throws(Problem) -> CoreEntry {
        let core = try required(.core, id: UInt64(UInt32(bitPattern: tid)))
        guard core.mtype == architecture else {
            throw .image(
                .imageArchitecture, corePath(tid),
                "the images are of a process on \(core.mtype.text), and this machine is \(architecture.text)",
                remedy: "Restore them on a machine with a processor of that kind")
        }
        return core
    }
}

extension CoreEntry.March {
    /// The processor that this Apus was built for.
    public static var ofThisMachine: Self {
        #if arch(x86_64)
            .x8664
        #elseif arch(arm64)
            .aarch64
        #else
            .unknown
        #endif
    }

    /// The name that uname(2) uses.
    public var text: String {
        switch self {
        case .unknown: "an unknown processor"
        case .x8664: "x86_64"
        case .arm: "arm"
        case .aarch64: "aarch64"
        case .ppc64: "ppc64"
        case .s390: "s390"
        case .mips: "mips"
        case .loongarch64: "loongarch64"
        case .riscv64: "riscv64"
        }
    }
}

extension MmEntry {
    /// The first run that leaves the mappings, which are sorted as the runs are.
    fileprivate func uncovered(_ pagemap: Pagemap) -> Pagemap.Run? {
        var index = 0
        for run in pagemap.runs {
            var covered = run.address
            while covered < run.end {
                while index < vmas.count, vmas[index].end <= covered { index += 1 }
                guard index < vmas.count, vmas[index].start <= covered else { return run }
                covered = vmas[index].end
            }
        }
        return nil
    }

    /// Mappings are whole pages, in order, and apart from each other.
    fileprivate func check(in path: FilePath) throws(Problem) {
        var floor: UInt64 = 0
        for vma in vmas {
            let place = "the mapping 0x\(String(vma.start, radix: 16))-0x\(String(vma.end, radix: 16))"
            guard (vma.start | vma.end) % Pagemap.pageSize == 0, vma.start < vma.end else {
                throw .image(.imageInvalid, path, "\(place) is not made of whole pages")
            }
            guard vma.start >= floor else {
                throw .image(.imageInvalid, path, "\(place) overlaps the one before it, or is out of order")
            }
            floor = vma.end
        }
    }
}
