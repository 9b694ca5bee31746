internal import Diagnostics
internal import Images
internal import Linux
internal import Objects
internal import SystemPackage

/// In what this host is unlike that of the dump, so that the tree could not run here, or not as it did.
enum HostObstacles {
    /// What stands in the way.
    static func find(_ images: CheckpointImages, _ plan: RestorePlan, _ options: RestoreOptions) -> [Problem] {
        var found: [Problem] = []
        if let host = images.manifest?.host {
            if host.pageSize != HostFacts.pageSize {
                found.append(
                    Problem(
                        .hostUnlike,
                        "its pages had \(host.pageSize) bytes, and those of this kernel have"
                            + " \(HostFacts.pageSize)",
                        remedy: "Restore under a kernel with pages of \(host.pageSize) bytes"))
            }
            if options.comparesProcessors { found += processor(host.processor, .current) }
        }
        return found + controlGroups(plan)
    }

    /// The instructions that programs choose their code by. What else the kernel lists says something about itself.
    private static let instructions: Set<String> = [
        "pni", "ssse3", "sse4_1", "sse4_2", "sse4a", "popcnt", "abm", "bmi1", "bmi2", "avx", "avx2", "fma", "f16c",
        "fma4",
        "xop", "tbm", "aes", "vaes", "pclmulqdq", "vpclmulqdq", "gfni", "sha_ni", "movbe", "rdrand", "rdseed", "adx",
        "clflushopt", "clwb", "rdpid", "rdtscp", "fsgsbase", "xsave", "xsavec", "xgetbv1", "rtm", "cx16", "movdiri",
        "movdir64b", "serialize", "waitpkg", "avx_vnni", "avx_ifma", "avx_vnni_int8", "avx_ne_convert", "cmpccxadd",
    ]

    static func processor(_ then: HostRecord.Processor, _ now: HostRecord.Processor) -> [Problem] {
        let missing = missing(then, now).filter { then.level?.features.contains($0) ?? true }
        if missing.isEmpty { return [] }
        let level = then.level.map { ", and the tree may use them (\($0.rawValue))" } ?? ""
        return [
            Problem(
                .hostUnlike,
                "the processor (\(now.model)) lacks what that of the dump (\(then.model)) had: "
                    + missing.joined(separator: ", ") + level,
                remedy: "Restore on a host whose processor has them, or start the program with apus run --cpu-level"
                    + " the next time. One that uses none of them can be restored with --cpu-cap=none")
        ]
    }

    /// What a tree that keeps to a level does without, so far as it asks its C library.
    static func belowLevel(_ then: HostRecord.Processor, _ now: HostRecord.Processor) -> [String] {
        guard let level = then.level else { return [] }
        let missing = missing(then, now).filter { !level.features.contains($0) }
        if missing.isEmpty { return [] }
        return [
            "the processor (\(now.model)) lacks \(missing.joined(separator: ", ")); the tree was started to do with"
                + " \(level.rawValue), and goes on, unless it has asked the processor itself"
        ]
    }

    private static func missing(_ then: HostRecord.Processor, _ now: HostRecord.Processor) -> [String] {
        let here = Set(now.features)
        // A host that does not say what it can do cannot be compared.
        if here.isEmpty { return [] }
        return then.features.filter {
            (instructions.contains($0) || $0.hasPrefix("avx512") || $0.hasPrefix("amx_")) && !here.contains($0)
        }
    }

    /// The limits of the control groups that Apus is in, and that the tree will be in (cgroups(7)).
    private static func controlGroups(_ plan: RestorePlan) -> [Problem] {
        guard let groups = try? ProcessDirectory(Processes.current).controlGroups(),
            let group = groups.first(where: { $0.hierarchy == 0 })
        else { return [] }
        var found: [Problem] = []
        let threads = UInt64(plan.tasks.reduce(0) { $0 + $1.threads.count })
        var path = FilePath("/sys/fs/cgroup").appending(FilePath(bytes: group.path).components)
        while path.components.count >= 3 {
            func problem(_ what: String) -> Problem {
                Problem(
                    .hostUnlike, what, object: .init(path: path.string),
                    remedy: "Raise the limit, or start Apus in another control group")
            }
            if let limit = number(path.appending("pids.max")), let now = number(path.appending("pids.current")),
                now + threads > limit
            {
                found.append(
                    problem(
                        "the control group allows \(limit) processes and threads, has \(now), and the tree \(threads)"))
            }
            let size = plan.storedPages &* 4096
            if let limit = number(path.appending("memory.max")), size > limit {
                found.append(problem("the control group allows \(limit) bytes of memory, and the images hold \(size)"))
            }
            path = path.removingLastComponent()
        }
        return found
    }

    /// nil where there is no such file, or no limit.
    private static func number(_ path: FilePath) -> UInt64? {
        guard let bytes = try? Files.contents(of: path) else { return nil }
        return UInt64(String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self))
    }

    // MARK: What will be otherwise

    /// What does not stand in the way.
    static func warnings(_ images: CheckpointImages, _ options: RestoreOptions) -> [String] {
        guard let manifest = images.manifest, let host = manifest.host else { return [] }
        let processor = options.comparesProcessors ? belowLevel(host.processor, .current) : []
        return processor + mounts(manifest.needed) + users(images, host)
    }

    /// Places that are on another kind of file system than they were.
    private static func mounts(_ needed: [NeededFile]) -> [String] {
        let all = (try? ProcessDirectory(Processes.current).mounts()) ?? []
        let types = Dictionary(all.map { (UInt64($0.id), String(decoding: $0.fileSystem, as: UTF8.self)) }) { $1 }
        var found: [String] = []
        for file in needed where !file.uses.isDisjoint(with: [.directory, .written]) {
            guard let then = file.mount, !then.fileSystem.isEmpty,
                let id = (try? Files.status(of: file.path))?.mountID, let now = types[id], now != then.fileSystem
            else { continue }
            let text =
                "\(then.point) was a mount of \(then.source) (\(then.fileSystem)); \(file.path) is on \(now) here"
            if !found.contains(text) { found.append(text) }
        }
        return found
    }

    /// Users that have no name here. The processes run as them all the same.
    private static func users(_ images: CheckpointImages, _ host: HostRecord) -> [String] {
        guard let bytes = try? Files.contents(of: "/etc/passwd") else { return [] }
        let known = Set(
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line -> UInt32? in
                let fields = line.split(separator: ":", omittingEmptySubsequences: false)
                return fields.count > 2 ? UInt32(fields[2]) : nil
            })
        let used = Set(
            images.tasks.flatMap(\.threads).filter(\.core.threadCore.hasCreds).map(\.core.threadCore.creds.uid))
        return used.subtracting(known).sorted().map {
            "this host has no user \($0), as which processes of the tree ran on \(host.node): they go on as that number"
        }
    }
}

extension Problem.Code {
    /// The host lacks what that of the dump had.
    static let hostUnlike: Self = "host-unlike"
}
