public import SystemPackage

/// One mapping of a process: a line of `/proc/PID/maps`, with what `/proc/PID/smaps` adds.
public struct MappedArea: Sendable, Equatable {
    /// Addresses, whole pages.
    public var range: Range<UInt64>
    public var protection: Protection
    /// MAP_SHARED.
    public var isShared: Bool
    /// Where the mapping starts in its file, in bytes.
    public var offset: UInt64
    /// Of the file system of the mapped file; 0:0 for anonymous memory.
    public var device: DeviceNumber
    /// Of the mapped file; 0 for anonymous memory.
    public var inode: UInt64
    public var name: Name
    /// What `smaps` adds; nil where only `maps` was read.
    public var details: Details?

    /// PROT_* of mmap(2).
    public struct Protection: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let read = Protection(rawValue: 1)
        public static let write = Protection(rawValue: 2)
        public static let execute = Protection(rawValue: 4)
    }

    /// The last column.
    public enum Name: Sendable, Hashable {
        /// Private anonymous memory without a name.
        case none
        /// A file, as d_path of the kernel shows it: newlines unescaped, with " (deleted)" at the end where the file
        /// has lost that name (or where its name ends so: compare the file). memfd, SysV and /dev/zero memory look so,
        /// too.
        case file([UInt8])
        case heap, stack, vdso, vvar
        /// A part of vvar with the clocks of hypervisors, separate since Linux 6.13.
        case vvarClock
        case vsyscall
        /// Private anonymous memory named by PR_SET_VMA.
        case anonymous([UInt8])
        /// Shared anonymous memory named by PR_SET_VMA.
        case sharedAnonymous([UInt8])
        /// Anything else: `[uprobes]`, `anon_inode:[...]`, `socket:[...]`, names of other architectures.
        case other([UInt8])

        /// Mappings that the kernel itself puts into every process.
        public var isKernelProvided: Bool {
            switch self {
            case .vdso, .vvar, .vvarClock, .vsyscall: true
            case .none, .file, .heap, .stack, .anonymous, .sharedAnonymous, .other: false
            }
        }
    }

    /// What `smaps` adds to `maps`. Sizes are in bytes.
    public struct Details: Sendable, Equatable {
        public var flags: VmFlags
        /// Codes of flags that are not in the table.
        public var unknownFlags: [String]
        public var resident: UInt64
        /// Anonymous pages that are present: memory of its own, copied pages of private files.
        public var anonymous: UInt64
        public var swapped: UInt64
        /// Pages that were written to and that another process has mapped, too.
        public var sharedDirty: UInt64 = 0
        /// 4 KiB, or the size of a huge page of hugetlbfs.
        public var pageSize: UInt64
        /// pkeys(7); nil where the processor has none.
        public var protectionKey: UInt32?
    }

    /// The path without " (deleted)" at its end, and whether that was there. nil for what is no file.
    public var path: (bytes: [UInt8], endsInDeleted: Bool)? {
        guard case .file(let bytes) = name else { return nil }
        let suffix = Array(" (deleted)".utf8)
        guard bytes.count > suffix.count, bytes.suffix(suffix.count).elementsEqual(suffix) else {
            return (bytes, false)
        }
        return (Array(bytes.dropLast(suffix.count)), true)
    }

    /// The last column where it is the path of a file, with " (deleted)" where that is there; else empty.
    public var shownPath: [UInt8] {
        guard case .file(let bytes) = name else { return [] }
        return bytes
    }

    /// In bytes.
    public var size: UInt64 { range.upperBound - range.lowerBound }
}

extension MappedArea {
    /// Parses `/proc/PID/maps`.
    ///
    /// - Parameter file: named in errors.
    public static func parse(maps text: [UInt8], file: FilePath = "maps") throws(ProcfsError) -> [MappedArea] {
        var areas: [MappedArea] = []
        for line in TextCursor(text, file: file).lines() { areas.append(try MappedArea(line)) }
        return areas
    }

    /// Parses `/proc/PID/smaps`.
    ///
    /// - Parameter file: named in errors.
    public static func parse(smaps text: [UInt8], file: FilePath = "smaps") throws(ProcfsError) -> [MappedArea] {
        var areas: [MappedArea] = []
        var cursor = TextCursor(text, file: file)
        cursor.line = 0
        while let first = cursor.next {
            // A line of details begins with a capital; the head of a mapping with hexadecimal digits in lower case.
            if !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first), let line = cursor.nextLine() {
                var area = try MappedArea(line)
                area.details = Details()
                areas.append(area)
                continue
            }
            guard let last = areas.indices.last else {
                throw (cursor.nextLine() ?? cursor).malformed("a mapping before its details")
            }
            if Details.mayMatter(first), let line = cursor.nextLine() {
                try areas[last].details?.add(line)
            } else if let line = cursor.passLine(), line.colon == nil {
                throw cursor.malformed("':' after a key")
            }
        }
        return areas
    }

    private init(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        let start: UInt64 = try line.number("the start address", radix: 16)
        try line.expect("-")
        let end: UInt64 = try line.number("the end address", radix: 16)
        guard start < end else { throw line.malformed("an end above the start") }
        range = start..<end
        let letters = Array(line.word())
        guard letters.count == 4 else { throw line.malformed("four letters of permissions") }
        protection = []
        if letters[0] == UInt8(ascii: "r") { protection.insert(.read) }
        if letters[1] == UInt8(ascii: "w") { protection.insert(.write) }
        if letters[2] == UInt8(ascii: "x") { protection.insert(.execute) }
        isShared = letters[3] == UInt8(ascii: "s")
        offset = try line.number("the offset", radix: 16)
        let major: UInt32 = try line.number("the device", radix: 16)
        try line.expect(":")
        device = DeviceNumber(major: major, minor: try line.number("the device", radix: 16))
        inode = try line.number("the inode")
        line.skipBlanks()
        name = Name(line.rest)
        details = nil
    }
}

extension MappedArea.Name {
    private static let fixed: [ArraySlice<UInt8>: MappedArea.Name] = [
        Array("[heap]".utf8)[...]: .heap, Array("[stack]".utf8)[...]: .stack, Array("[vdso]".utf8)[...]: .vdso,
        Array("[vvar]".utf8)[...]: .vvar, Array("[vvar_vclock]".utf8)[...]: .vvarClock,
        Array("[vsyscall]".utf8)[...]: .vsyscall,
    ]

    init(_ text: ArraySlice<UInt8>) {
        guard let first = text.first else {
            self = .none
            return
        }
        if first == UInt8(ascii: "/") {
            self = .file(text.withoutOctalEscapes())
        } else if let fixed = Self.fixed[text] {
            self = fixed
        } else if let name = Self.name(in: text, after: "[anon:") {
            self = .anonymous(name)
        } else if let name = Self.name(in: text, after: "[anon_shmem:") {
            self = .sharedAnonymous(name)
        } else {
            self = .other(Array(text))
        }
    }

    private static func name(in text: ArraySlice<UInt8>, after prefix: String) -> [UInt8]? {
        guard text.starts(with: prefix.utf8), text.last == UInt8(ascii: "]") else { return nil }
        return Array(text.dropFirst(prefix.utf8.count).dropLast())
    }
}

extension MappedArea.Details {
    fileprivate init() {
        self.init(
            flags: [], unknownFlags: [], resident: 0, anonymous: 0, swapped: 0, pageSize: 4096, protectionKey: nil)
    }

    /// Whether a line that begins with this letter can be one that is wanted: most of the two dozen are not.
    fileprivate static func mayMatter(_ first: UInt8) -> Bool {
        switch first {
        case UInt8(ascii: "V"), UInt8(ascii: "R"), UInt8(ascii: "A"), UInt8(ascii: "S"), UInt8(ascii: "K"),
            UInt8(ascii: "P"):
            true
        default: false
        }
    }

    fileprivate mutating func add(_ line: TextCursor) throws(ProcfsError) {
        var line = line
        if line.take(text: "VmFlags:") {
            line.skipBlanks()
            while !line.isAtEnd {
                let code = line.word()
                if let flag = VmFlags(code: code) {
                    flags.insert(flag)
                } else {
                    unknownFlags.append(String(decoding: code, as: UTF8.self))
                }
                line.skipBlanks()
            }
        } else if line.take(text: "Rss:") {
            resident = try line.kibibytes()
        } else if line.take(text: "Anonymous:") {
            anonymous = try line.kibibytes()
        } else if line.take(text: "Swap:") {
            swapped = try line.kibibytes()
        } else if line.take(text: "Shared_Dirty:") {
            sharedDirty = try line.kibibytes()
        } else if line.take(text: "KernelPageSize:") {
            pageSize = try line.kibibytes()
        } else if line.take(text: "ProtectionKey:") {
            protectionKey = try line.number("a protection key")
        } else if line.take(until: ":") == nil {
            throw line.malformed("':' after a key")
        }
    }
}

extension TextCursor {
    /// A size in KiB, as bytes.
    fileprivate mutating func kibibytes() throws(ProcfsError) -> UInt64 {
        let (bytes, overflow) = (try number("a size in kB") as UInt64).multipliedReportingOverflow(by: 1024)
        if overflow { throw malformed("a size of 64 bits") }
        return bytes
    }
}
