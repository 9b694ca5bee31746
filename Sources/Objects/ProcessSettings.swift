internal import CLinux
public import Diagnostics
internal import Images
public import Linux
internal import SystemPackage
public import Tracing

/// Settings of a process that the format of the images has no place for. What is nil is as usual.
public struct ProcessSettings: Sendable, Equatable {
    /// What goes into core dumps (core(5)).
    public var coreDumpFilter: UInt32?
    /// The nice value of the autogroup of a session's leader (sched(7)).
    public var autogroupNice: Int32?
    /// PR_SET_MDWE.
    public var denyWriteExecute: UInt32?
    /// PR_SET_MEMORY_MERGE.
    public var mergesMemory = false
    /// What PR_GET_THP_DISABLE answers, where that is more than yes or no (since Linux 6.18).
    public var hugePages: UInt32?
    /// ARCH_REQ_XCOMP_PERM: the XSAVE features that it has asked to be allowed to use, a bit for each: 18 for the tiles of AMX.
    public var requestedFeatures: UInt64 = 0

    /// ARCH_ENABLE_TAGGED_ADDR: how many bits at the top of its pointers the processor does not look at (LAM).
    public var tagBits: Int?

    public init() {}

    public var isUsual: Bool { self == ProcessSettings() }

    private static let (getDenial, getMerging, getHugePages): (Int, Int, Int) = (66, 68, 42)
    /// Those that have to be asked for ("Using XSTATE features in user space applications" of the kernel's x86 documentation).
    private static let dynamicFeatures: UInt64 = 1 << 18
    public static let usualCoreDumpFilter: UInt32 = 0x33

    /// The questions of one batch. A kernel that does not know one of them has no such setting.
    public struct Questions: Sendable {
        let denial, merging, hugePages, features, tagged: Int
        let permission, untagMask: Batch.Buffer

        public init(_ batch: inout Batch) {
            func ask(_ number: Int) -> Int {
                batch.call(
                    Int(SYS_prctl), .int(number), 0, 0, 0, 0, expecting: Batch.anything, for: "read a setting")
            }
            denial = ask(ProcessSettings.getDenial)
            merging = ask(ProcessSettings.getMerging)
            hugePages = ask(ProcessSettings.getHugePages)
            let getPermission = 0x1022
            permission = batch.space(8)
            features = batch.call(
                Int(SYS_arch_prctl), .int(getPermission), .address(permission), expecting: Batch.anything,
                for: "read which features of the processor it has asked for")
            let getMask = 0x4001
            untagMask = batch.space(8)
            tagged = batch.call(
                Int(SYS_arch_prctl), .int(getMask), .address(untagMask), expecting: Batch.anything,
                for: "read which bits of its pointers are tags")
        }

        public func answer(_ result: BatchResult) -> ProcessSettings {
            var settings = ProcessSettings()
            if result[denial] > 0 { settings.denyWriteExecute = UInt32(truncatingIfNeeded: result[denial]) }
            settings.mergesMemory = result[merging] == 1
            if result[features] == 0 {
                settings.requestedFeatures = result.integer(UInt64.self, in: permission) & dynamicFeatures
            }
            let mask = result.integer(UInt64.self, in: untagMask)
            if result[tagged] == 0, mask != 0, mask != .max { settings.tagBits = (~mask).nonzeroBitCount }
            if result[hugePages] > 1 { settings.hugePages = UInt32(truncatingIfNeeded: result[hugePages]) }
            return settings
        }
    }

    /// Those that can be seen without asking the process.
    public struct Visible: Sendable {
        let coreDumpFilter: UInt32?
        let autogroupNice: Int32?

        /// - Parameter leadsSession: the autogroup is its own.
        public init(_ directory: ProcessDirectory, leadsSession: Bool) throws(ProcfsError) {
            let filter = try directory.ifKnown { () throws(ProcfsError) in try directory.coreDumpFilter() } ?? nil
            coreDumpFilter = filter == usualCoreDumpFilter ? nil : filter
            let nice = leadsSession ? try ProcessSettings.autogroupNice(directory) : nil
            autogroupNice = nice == 0 ? nil : nice
        }
    }

    public mutating func add(_ visible: Visible) {
        (coreDumpFilter, autogroupNice) = (visible.coreDumpFilter, visible.autogroupNice)
    }

    /// "/autogroup-12 nice 0"
    static func autogroupNice(_ directory: ProcessDirectory) throws(ProcfsError) -> Int32? {
        guard let text = try directory.ifKnown({ () throws(ProcfsError) in try directory.contents(of: "autogroup") })
        else {
            return nil
        }
        let words = String(decoding: text, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return words.last.flatMap { Int32($0) }
    }
}

extension ProcessSettings {
    /// For the supplement.
    public var json: JSON {
        var members: [JSON.Member] = []
        func add(_ name: String, _ value: (some FixedWidthInteger)?) {
            if let value { members.append(.init(name, .number(value))) }
        }
        add("coredump_filter", coreDumpFilter)
        add("autogroup_nice", autogroupNice)
        add("deny_write_execute", denyWriteExecute)
        if mergesMemory { members.append(.init("memory_merge", true)) }
        add("huge_pages", hugePages)
        add("tag_bits", tagBits)
        if requestedFeatures != 0 { add("requested_features", requestedFeatures) }
        return .object(members)
    }

    /// From the supplement.
    public init(_ json: JSON?) {
        guard let json else { return }
        func number<T: FixedWidthInteger>(_ name: String) -> T? {
            json[name]?.bits.map { T(truncatingIfNeeded: $0) }
        }
        coreDumpFilter = number("coredump_filter")
        autogroupNice = number("autogroup_nice")
        denyWriteExecute = number("deny_write_execute")
        mergesMemory = json["memory_merge"] == .bool(true)
        hugePages = number("huge_pages")
        requestedFeatures = number("requested_features") ?? 0
        tagBits = number("tag_bits")
    }
}
