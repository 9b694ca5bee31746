import CAccounting
import Foundation

/// Runs a range of inputs, one after another, in a process of its own: whatever ends the process is the fault of the input
/// whose number it has noted last.
struct Worker {
    private(set) var target: any Target
    private let seed: UInt64
    /// Where the number of the input is noted.
    private let progress: Int32

    init(_ type: any Target.Type, _ corpus: Corpus, seed: UInt64, progress path: String) throws {
        target = try type.init(corpus)
        self.seed = seed
        progress = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    }

    /// Beside what is there before: as much for anything, and for each byte of the input. A message of two bytes becomes a
    /// value of some hundred, and one of a plan's calls.
    private static let (allowance, allowancePerByte) = (32 << 20, 400)

    mutating func run(_ range: Range<UInt64>) throws {
        for index in range {
            var number = index
            _ = unsafe pwrite(progress, &number, 8, 0)
            var random = Random(seed: seed, index: index)
            let input = target.make(&random)
            apus_fuzz_set_limit(apus_fuzz_allocated() + Self.allowance + Self.allowancePerByte * input.size)
            try target.run(input, &random)
            apus_fuzz_set_limit(0)
        }
    }

    /// Writes an input into a directory, and does not run it.
    static func write(_ type: any Target.Type, _ corpus: Corpus, seed: UInt64, index: UInt64, to directory: String)
        throws
    {
        var target = try type.init(corpus)
        var random = Random(seed: seed, index: index)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for file in target.make(&random).files {
            let name = file.name.replacingOccurrences(of: "/", with: "_")
            try Data(file.bytes).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
        }
    }
}
