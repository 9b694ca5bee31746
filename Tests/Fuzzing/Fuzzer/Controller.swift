import Foundation
import Linux

/// Runs workers, and notes what they die of.
struct Controller {
    let options: Options

    struct Finding {
        let target: String
        let index: UInt64
        /// The first lines of what the worker said, the same for the same defect.
        let reason: String
        var count = 1
    }

    /// How many inputs a worker runs, and in how many seconds each: of a processor, and of the clock on a machine that has
    /// others to serve.
    private static let (portion, patience, longest): (UInt64, Double, Double) = (20_000, 10, 300)
    /// Findings of a target after which there is no use in going on.
    private static let enough = 200

    func run() throws -> Int32 {
        var findings: [Finding] = []
        var done: UInt64 = 0
        let began = Date()
        for type in options.targets {
            let (count, found) = try run(type, until: deadline(for: type, since: began))
            done += count
            findings += found
        }
        let seconds = max(Date().timeIntervalSince(began), 0.001)
        say("\(done) inputs in \(Int(seconds)) s (\(Int(Double(done) / seconds)) a second), \(findings.count) findings")
        for finding in findings {
            say(
                """
                \(finding.target): input \(finding.index) of seed \(options.seed), and \(finding.count - 1) more
                  \(finding.reason.replacingOccurrences(of: "\n", with: "\n  "))
                  again: \(CommandLine.arguments[0]) once \(finding.target) --seed \(options.seed) --index \(finding.index)
                """)
        }
        return findings.isEmpty ? 0 : 1
    }

    /// Each target gets its share of the time.
    private func deadline(for type: any Target.Type, since began: Date) -> Date? {
        guard let duration = options.duration, let place = options.targets.firstIndex(where: { $0 == type }) else {
            return nil
        }
        return began.addingTimeInterval(duration * Double(place + 1) / Double(options.targets.count))
    }

    private func run(_ type: any Target.Type, until deadline: Date?) throws -> (done: UInt64, found: [Finding]) {
        var findings: [Finding] = []
        var next = options.first
        let end = options.iterations.map { options.first + $0 } ?? .max
        while next < end, deadline.map({ $0 > Date() }) ?? true, findings.count < Self.enough {
            let last = min(end, next + Self.portion)
            let outcome = try work(type, next..<last, until: deadline)
            guard let reason = outcome.reason else {
                next = outcome.next
                if options.isVerbose { say("\(type.name): \(next - options.first) inputs") }
                continue
            }
            let index = outcome.next
            if let known = findings.firstIndex(where: { $0.reason == reason }) {
                findings[known].count += 1
            } else {
                findings.append(Finding(target: type.name, index: index, reason: reason))
                say("\(type.name) \(index): \(reason.prefix(600))")
                try save(type, index)
            }
            next = index + 1
        }
        return (next - options.first, findings)
    }

    private func save(_ type: any Target.Type, _ index: UInt64) throws {
        guard let directory = options.saving else { return }
        let place = "\(directory)/\(type.name)-\(options.seed)-\(index)"
        try withScratch { scratch in
            try Worker.write(type, options.corpus(scratch), seed: options.seed, index: index, to: place)
        }
    }

    /// Runs a worker. The reason is what it died of at the input `next`; nil where it got as far as that.
    private func work(
        _ type: any Target.Type, _ range: Range<UInt64>, until deadline: Date?
    ) throws -> (next: UInt64, reason: String?) {
        try withScratch { scratch in
            let (progress, errors) = ("\(scratch)/progress", "\(scratch)/errors")
            _ = FileManager.default.createFile(atPath: errors, contents: nil)
            let worker = worker(type, scratch, range.lowerBound, count: UInt64(range.count))
            worker.standardError = FileHandle(forWritingAtPath: errors)
            try worker.run()
            let outcome = watch(worker, progress, until: deadline)
            let index = Self.number(in: progress) ?? range.lowerBound
            switch outcome {
            case .ended(0): return (range.upperBound, nil)
            case .ended(let status):
                return (index, reason("ended with \(status)", errors))
            case .hung: return (index, "VIOLATION: it takes more than \(Self.patience) s of a processor")
            case .stopped: return (index + 1, nil)
            }
        }
    }

    /// A process that runs some inputs, not yet started.
    func worker(_ type: any Target.Type, _ scratch: String, _ first: UInt64, count: UInt64) -> Process {
        let worker = Process()
        worker.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        worker.arguments =
            ["work", type.name, "--seed", "\(options.seed)", "--first", "\(first)", "--iterations", "\(count)"]
            + ["--progress", "\(scratch)/progress", "--scratch", scratch] + options.images.flatMap { ["--corpus", $0] }
        // Only what it says counts, and the names of functions: a line for each frame takes seconds.
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_BACKTRACE"] = "enable=\(options.traces ? "yes" : "no"),color=no,interactive=no"
        worker.environment = environment
        return worker
    }

    private enum Outcome { case ended(Int32), hung, stopped }

    private func watch(_ worker: Process, _ progress: String, until deadline: Date?) -> Outcome {
        var (last, since, used): (UInt64?, Date, Double) = (nil, Date(), 0)
        while worker.isRunning {
            usleep(20_000)
            let now = Self.number(in: progress)
            let spent = Self.spent(worker.processIdentifier)
            if now != last { (last, since, used) = (now, Date(), spent) }
            if spent - used > Self.patience || Date().timeIntervalSince(since) > Self.longest {
                end(worker)
                return .hung
            }
            if let deadline, Date() > deadline {
                end(worker)
                return .stopped
            }
        }
        worker.waitUntilExit()
        return .ended(worker.terminationReason == .exit ? worker.terminationStatus : 128 + worker.terminationStatus)
    }

    /// The time of a processor that a worker has used so far, in seconds.
    private static func spent(_ pid: Int32) -> Double {
        guard let stat = try? ProcessDirectory(pid).stat() else { return 0 }
        return Double(stat.userTime &+ stat.systemTime) / 100
    }

    private func end(_ worker: Process) {
        kill(worker.processIdentifier, SIGKILL)
        worker.waitUntilExit()
    }

    /// What a worker said, without addresses and numbers of processes.
    private func reason(_ end: String, _ errors: String) -> String {
        let text = String(decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self)
        let lines = text.split(separator: "\n").filter { line in
            line.contains("Fatal error") || line.contains("VIOLATION") || line.contains(" in ")
                || line.contains("Error")
        }
        return ([end] + lines.prefix(8).map(String.init)).joined(separator: "\n")
    }

    private static func number(in path: String) -> UInt64? {
        guard let data = FileManager.default.contents(atPath: path), data.count == 8 else { return nil }
        return data.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
    }
}

/// A directory that is removed again, in memory where there is one.
func withScratch<Result>(_ body: (String) throws -> Result) throws -> Result {
    let place = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    let path = "\(place)/apus-fuzz-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}
