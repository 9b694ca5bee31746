internal import Checkpoint
internal import Compatibility

extension OptionReader {
    /// The options that decide what stands in the way of a dump.
    mutating func readObstacleOptions(into options: inout DumpOptions) {
        options.shellJob = flag("shell-job")
        options.external = external()
        options.evasiveDevices = flag("evasive-devices")
        options.ghostLimit = size("ghost-limit") ?? options.ghostLimit
        options.fileLocks = flag("file-locks")
        options.tcpEstablished = flag("tcp-established")
        options.externalUnixSockets = flag("ext-unix-sk")
    }

    /// The keys of `--external`.
    mutating func external() -> [String] {
        let keys = values("external")
        report(ExternalResource.problems(keys))
        return keys.map { String(decoding: $0, as: UTF8.self) }
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
