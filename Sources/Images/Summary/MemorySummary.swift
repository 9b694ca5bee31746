internal import ImageMessages

/// What an address space is made of.
public struct MemorySummary: Sendable {
    /// One line for each kind of mapping that there is.
    public var kinds: [Part]

    public enum Kind: String, Sendable, CaseIterable {
        case privateFile = "files, private"
        case sharedFile = "files, shared"
        case heap = "heap"
        case stack = "stack"
        case anonymous = "anonymous"
        case sharedAnonymous = "shared memory"
        case systemV = "System V shared memory"
        case kernel = "kernel (vdso, vvar)"
        case other = "other"
    }

    public struct Part: Sendable {
        public var kind: Kind
        public var mappings: Int
        /// The size of the mappings in bytes.
        public var mapped: UInt64
        /// How much of them is in the pages file.
        public var stored: UInt64
        /// How much of them is in the directories of earlier dumps.
        public var inParent: UInt64
    }

    public var mapped: UInt64 { kinds.reduce(0) { $0 + $1.mapped } }
    public var stored: UInt64 { kinds.reduce(0) { $0 + $1.stored } }
    public var inParent: UInt64 { kinds.reduce(0) { $0 + $1.inParent } }
    public var mappings: Int { kinds.reduce(0) { $0 + $1.mappings } }

    init(_ memory: MmEntry, _ pagemap: Pagemap?) {
        var parts: [Kind: Part] = [:]
        var runs = (pagemap?.runs ?? [])[...]
        for vma in memory.vmas {
            let kind = Kind(of: vma, in: memory)
            var part = parts[kind] ?? Part(kind: kind, mappings: 0, mapped: 0, stored: 0, inParent: 0)
            part.mappings += 1
            part.mapped += vma.end - vma.start
            // Both are sorted; a run may go on into the next mapping.
            while let run = runs.first, run.end <= vma.start { runs.removeFirst() }
            for run in runs.prefix(while: { $0.address < vma.end }) {
                let common = min(run.end, vma.end) - max(run.address, vma.start)
                if run.fileOffset != nil { part.stored += common }
                if run.flags.contains(.inParent) { part.inParent += common }
            }
            parts[kind] = part
        }
        kinds = Kind.allCases.compactMap { parts[$0] }
    }
}

extension MemorySummary.Kind {
    fileprivate init(of vma: VmaEntry, in memory: MmEntry) {
        let status = MappingStatus(rawValue: vma.status)
        self =
            switch true {
            case !status.isDisjoint(with: [.vdso, .vvar, .vsyscall]): .kernel
            case status.contains(.heap): .heap
            case status.contains(.stack) || (vma.start..<vma.end).contains(memory.mmStartStack): .stack
            case status.contains(.privateFile): .privateFile
            case status.contains(.systemV): .systemV
            case status.contains(.memfd) || status.contains(.sharedAnonymous): .sharedAnonymous
            case status.contains(.sharedFile): .sharedFile
            case status.contains(.privateAnonymous): .anonymous
            default: .other
            }
    }
}
