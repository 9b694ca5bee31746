/// A level of x86-64 (its psABI), and how programs are kept from using more than it has.
///
/// A program chooses by what it finds when it starts, and a restore cannot make it choose again. The C library is told
/// by its tunable `glibc.cpu.hwcaps`; tested with Debian 12's (2.36): the variants of memcpy(3) and its like, the way
/// in which lazy binding saves registers, and the directories in which libraries are looked for follow it. What
/// programs ask the processor themselves (the instruction CPUID) it does not hide.
public enum ProcessorLevel: String, CaseIterable, Comparable, Sendable {
    case v2 = "x86-64-v2"
    case v3 = "x86-64-v3"
    case v4 = "x86-64-v4"

    private static let variableName = "GLIBC_TUNABLES="
    private static let tunable = "glibc.cpu.hwcaps="

    /// `GLIBC_TUNABLES=...`, with what was there before kept.
    public func variable(before: String?) -> String {
        let own = Self.tunable + hidden.map { "-" + $0 }.joined(separator: ",")
        return Self.variableName + [before, own].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ":")
    }

    /// The lowest level that an environment keeps the C library to; nil where it may use all that there is.
    ///
    /// - Parameter environment: strings `NAME=value`, as a process has begun with them.
    public init?(environment: [[UInt8]]) {
        let variables = environment.filter { $0.starts(with: Self.variableName.utf8) }
        // Which of several the C library follows is not for sure.
        guard variables.count == 1 else { return nil }
        let tunables = String(decoding: variables[0].dropFirst(Self.variableName.utf8.count), as: UTF8.self)
        // Each takes the place of the one before.
        guard let last = tunables.split(separator: ":").last(where: { $0.hasPrefix(Self.tunable) }) else { return nil }
        let names = last.dropFirst(Self.tunable.count).split(separator: ",").filter { $0.hasPrefix("-") }
        let hidden = Set(names.map { String($0.dropFirst()) })
        guard let level = Self.allCases.first(where: { hidden.isSuperset(of: $0.hidden) }) else { return nil }
        self = level
    }

    public static func < (lower: ProcessorLevel, higher: ProcessorLevel) -> Bool { lower.rawValue < higher.rawValue }

    /// The flags of `/proc/cpuinfo` that a processor of this level has, beyond what all of x86-64 have.
    public var features: Set<String> {
        let second: Set = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]
        let third: Set = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]
        let fourth: Set = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
        return switch self {
        case .v2: second
        case .v3: second.union(third)
        case .v4: second.union(third).union(fourth)
        }
    }

    /// The names that glibc has for what is above the level.
    private var hidden: [String] {
        let fourth = ["AVX512F", "AVX512VL", "AVX512BW", "AVX512DQ", "AVX512CD"]
        // No level has transactions, nor the compact form of XSAVE.
        let none = ["RTM", "XSAVEC"]
        switch self {
        case .v4: return none
        case .v3: return none + fourth
        case .v2:
            return none + fourth + [
                "AVX", "AVX2", "BMI1", "BMI2", "FMA", "FMA4", "F16C", "LZCNT", "MOVBE", "XSAVE",
                "AVX_Fast_Unaligned_Load",
            ]
        }
    }
}
