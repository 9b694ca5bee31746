internal import CLinux
public import Diagnostics
internal import Glibc
public import Linux
public import Objects
internal import SystemPackage
internal import Tracing

/// What a plan has to know of the host. Looked up once; a test makes its own.
public struct RestoreHost: Sendable {
    /// The processor's layout of the extended state.
    public var extendedState: ExtendedStateLayout
    /// The bytes of this kernel's vdso, whole pages.
    public var vdso: [UInt8]
    /// The mappings that the kernel gives a program beside the vdso, in order of address: length of each.
    public var vvar: [UInt64]
    /// Where the vdso lies behind the first of them.
    public var vdsoOffset: UInt64
    /// The bytes of its vdso for 32-bit programs; nil where it runs none, or where none was asked for.
    public var compatVdso: [UInt8]?
    /// The highest capability that the kernel knows.
    public var lastCapability: Int32
    /// The capabilities that Apus has to give, its permitted set: capability n in bit n.
    public var capabilities: UInt64 = (1 << 41) - 1
    /// The processors that are on.
    public var processors: [UInt8] = [0xff]
    /// How many processors the kernel has made room for, whether they are there or not.
    public var possibleProcessors = 8
    /// The nodes that have memory; none where the kernel knows of no nodes.
    public var memoryNodes: [Int] = [0]
    /// The processor and the kernel have protection keys.
    public var hasProtectionKeys = false
    /// The user of the login that Apus belongs to; the highest number for none (pam_loginuid(8)).
    public var loginUser: UInt32 = .max
    /// The security module of this host, what it has Apus run as, and the profiles of AppArmor that are loaded.
    public var securityModule: SecurityModule?
    public var securityLabel: String?
    public var securityProfiles: Set<String>?
    /// fs.suid_dumpable: what a change of user makes of the permission to dump a process.
    public var dumpableAfterChangeOfUser: Int32 = 0
    /// The session and the process group of Apus.
    public var session: Int32
    public var processGroup: Int32
    /// The descriptors that Apus has open: what the tree inherits has other numbers.
    public var openDescriptors: Set<Int32>
    /// Descriptors are below this number in Apus, which may raise its own limit up to here (RLIMIT_NOFILE of
    /// getrlimit(2); with CAP_SYS_RESOURCE fs.nr_open).
    public var descriptorLimit = UInt64(1) << 20
    /// The kernel can be told the numbers of POSIX timers (PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15).
    public var choosesTimerNumbers = false
    /// Pids are below this number (kernel.pid_max, proc_sys_kernel(5)).
    public var pidLimit: Int32 = 32768
    public var pidsInUse: Set<Int32> = []
    /// The root of the tree, where it has been made already.
    var early: EarlyRoot.Offer?
    /// What of the pages follows when the tree runs.
    var late: LateTasks?
    /// The lowest address that may be mapped (vm.mmap_min_addr).
    public var lowestAddress: UInt64

    public init(
        extendedState: ExtendedStateLayout, vdso: [UInt8], vvar: [UInt64], vdsoOffset: UInt64, lastCapability: Int32,
        session: Int32, processGroup: Int32, openDescriptors: Set<Int32>, lowestAddress: UInt64
    ) {
        self.extendedState = extendedState
        self.vdso = vdso
        self.vvar = vvar
        self.vdsoOffset = vdsoOffset
        self.lastCapability = lastCapability
        self.session = session
        self.processGroup = processGroup
        self.openDescriptors = openDescriptors
        self.lowestAddress = lowestAddress
    }

    /// This host's.
    public static func current() throws(Problem) -> RestoreHost {
        let own = ProcessDirectory(getpid())
        let areas: [MappedArea]
        do throws(ProcfsError) { areas = try own.maps() } catch {
            throw Problem(
                .hostUnknown, "Apus cannot read its own mappings (\(error))",
                remedy: "Mount /proc where Apus runs")
        }
        let vvar = areas.filter { $0.name == .vvar || $0.name == .vvarClock }
        guard let vdso = areas.first(where: { $0.name == .vdso }), let first = vvar.first,
            let bytes = try? Files.contents(ofOwnMemory: vdso.range)
        else {
            throw Problem(
                .hostUnknown, "this kernel gives programs no vdso",
                remedy: "Boot without vdso=0: restored programs need it for their clocks")
        }
        var host = RestoreHost(
            extendedState: .current, vdso: bytes, vvar: vvar.map(\.size),
            vdsoOffset: vdso.range.lowerBound - first.range.lowerBound,
            lastCapability: number(in: "/proc/sys/kernel/cap_last_cap") ?? 40, session: getsid(0),
            processGroup: getpgrp(), openDescriptors: Set((try? own.descriptors()) ?? Array(0...1023)),
            lowestAddress: UInt64(max(number(in: "/proc/sys/vm/mmap_min_addr") ?? 65536, 65536)))
        if let own = try? own.status().capabilities { host.capabilities = own.permitted }
        host.descriptorLimit = Processes.attainableNumberOfFiles
        host.processors = ProcessorMask.online ?? host.processors
        if let possible = ProcessorMask.possible {
            host.possibleProcessors = possible.reduce(0) { $0 + $1.nonzeroBitCount }
        }
        let key = apus_syscall(Int(SYS_pkey_alloc), 0, 0, 0, 0, 0, 0)
        host.hasProtectionKeys = key > 0
        if key > 0 { _ = apus_syscall(Int(SYS_pkey_free), UInt(key), 0, 0, 0, 0, 0) }
        host.memoryNodes = ProcessorMask.nodesWithMemory
        host.loginUser = (try? own.loginUser()) ?? .max
        host.securityModule = SecurityModule.ofHost
        host.securityLabel = host.securityModule?.label(of: own)
        host.securityProfiles = host.securityModule == .appArmor ? SecurityModule.profiles() : nil
        host.dumpableAfterChangeOfUser = number(in: "/proc/sys/fs/suid_dumpable") ?? 0
        host.pidLimit = number(in: "/proc/sys/kernel/pid_max") ?? 32768
        host.pidsInUse = Set(PidsInUse.all())
        let (chooseNumbers, ask): (UInt, UInt) = (77, 2)
        host.choosesTimerNumbers = apus_syscall(Int(SYS_prctl), chooseNumbers, ask, 0, 0, 0, 0) >= 0
        return host
    }

    private static func number(in path: String) -> Int32? {
        guard let bytes = try? Files.contents(of: FilePath(path)) else { return nil }
        return Int32(String(decoding: bytes.prefix { $0 >= 0x30 }, as: UTF8.self))
    }
}

extension Files {
    /// Bytes of Apus' own memory, through the kernel.
    fileprivate static func contents(ofOwnMemory range: Range<UInt64>) throws(Errno) -> [UInt8] {
        let memory = try open(FilePath("/proc/self/mem"), .readOnly)
        return try read(memory.raw, count: Int(range.upperBound - range.lowerBound), at: range.lowerBound)
    }
}

extension Problem.Code {
    public static let hostUnknown: Self = "host-unknown"
}
