internal import Checkpoint
internal import Compatibility
internal import Diagnostics
internal import Objects

extension OptionReader {
    /// The options that decide what stands in the way of a dump.
    mutating func readObstacleOptions(into options: inout DumpOptions) {
        options.shellJob = flag("shell-job")
        options.external = external() + externalSockets()
        options.evasiveDevices = flag("evasive-devices")
        options.linkRemap = flag("link-remap")
        options.ghostLimit = size("ghost-limit") ?? options.ghostLimit
        options.fileLocks = flag("file-locks")
        options.tcpEstablished = flag("tcp-established")
        options.tcpClose = flag("tcp-close")
        options.skipInFlight = flag("skip-in-flight")
        options.locksNetwork = locksNetwork()
        options.externalUnixSockets = allowsExternalSockets
    }

    /// `--ext-unix-sk` without the inode of a socket is meant for all.
    var allowsExternalSockets: Bool { occurrences("ext-unix-sk") > values("ext-unix-sk").count }

    /// With an inode it is meant for one, and the same as `--external unix[INODE]`.
    private mutating func externalSockets() -> [String] {
        let keys = values("ext-unix-sk").map { "unix[\(RawArgument.text($0))]" }
        report(ExternalResource.problems(keys.map { Array($0.utf8) }))
        return keys.map(ExternalResource.canonical)
    }

    /// The keys of `--external`.
    mutating func external() -> [String] {
        let keys = values("external")
        report(ExternalResource.problems(keys))
        return keys.map { ExternalResource.canonical(RawArgument.text($0)) }
    }

    /// The descriptors of `--inherit-fd`.
    mutating func inherited() -> [InheritedDescriptor] {
        values("inherit-fd").compactMap { bytes in
            switch InheritedDescriptor.parse(bytes) {
            case .success(let found): return found
            case .failure(let problem):
                report([problem])
                return nil
            }
        }
    }

    /// The number of a descriptor.
    mutating func descriptor(_ long: String) -> Int32? {
        number(long, in: 0...Int32.max, expected: "the number of an open descriptor")
    }
}

extension OptionReader {
    /// Whether the processor has to have the instructions of the one of the dump: not with `--cpu-cap none`.
    var comparesProcessors: Bool {
        !values("cpu-cap").contains { value in
            value.split(separator: UInt8(ascii: ",")).contains { $0 == Array("none".utf8)[...] }
        }
    }

    /// `--file` and `--file-validation`.
    mutating func fileRules() -> FileRules {
        var rules = FileRules()
        if let mode = values("file-validation").last {
            rules.byDefault = mode == Array("buildid".utf8) ? .buildID : .size
        }
        for text in values("file") where !rules.add(text) {
            let policies = FilePolicy.allCases.map(\.rawValue).joined(separator: ", ")
            report([
                Problem(
                    .invalidValue, "--file takes PATTERN=POLICY, and not \"\(RawArgument.text(text).printable)\"",
                    remedy: "POLICY is one of \(policies), as in --file '/usr/lib/*=build-id'")
            ])
        }
        return rules
    }
}

extension OptionReader {
    /// `--network-lock`; what is none of its values has been refused before.
    func locksNetwork() -> Bool { values("network-lock").last != Array("skip".utf8) }
}
