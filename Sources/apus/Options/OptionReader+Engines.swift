internal import Compatibility

extension OptionReader {
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

extension OptionReader {
    /// `--network-lock`; what is none of its values has been refused before.
    func locksNetwork() -> Bool { values("network-lock").last != Array("skip".utf8) }
}
