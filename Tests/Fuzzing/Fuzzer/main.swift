import Foundation

// fuzzer run [TARGET ...] [--seed N] [--iterations N] [--duration SECONDS] [--save DIR] [--corpus DIR ...]
//     damaged inputs, made from seeds, for whatever reads what nobody has checked; 1 where something is found
// fuzzer once TARGET --seed N --index N
//     one of them again, with a backtrace
// fuzzer work ...
//     what `run` starts

/// What is asked for.
struct Options {
    var targets: [any Target.Type] = []
    var seed: UInt64 = 1
    var first: UInt64 = 0
    /// Of each target.
    var iterations: UInt64?
    /// Of all targets together.
    var duration: Double?
    var images: [String] = []
    var saving: String?
    var progress = ""
    var scratch: String?
    var isVerbose = false
    /// Deaths are told with the functions that led there.
    var traces = true

    static let project = #filePath.split(separator: "/").dropLast(4).reduce("") { $0 + "/" + $1 }

    init(_ arguments: ArraySlice<String>) throws {
        var arguments = arguments
        while let word = arguments.popFirst() {
            switch word {
            case "--verbose": isVerbose = true
            case "--no-traces": traces = false
            case _ where word.hasPrefix("--"):
                guard let value = arguments.popFirst() else { throw Violation("\(word) needs a value") }
                try take(word, value)
            default:
                guard let type = Targets.named(word) else { throw Violation("no target \(word)") }
                targets.append(type)
            }
        }
        if targets.isEmpty { targets = Targets.all }
        if images.isEmpty { images = [Self.project + "/Tests/Fixtures/criu-4.2"] }
        if iterations == nil && duration == nil { duration = 10 }
    }

    private mutating func take(_ word: String, _ value: String) throws {
        let number = UInt64(value)
        switch word {
        case "--seed": seed = number ?? seed
        case "--first", "--index": first = number ?? first
        case "--iterations": iterations = number
        case "--duration": duration = Double(value)
        case "--corpus": images.append(value)
        case "--save": saving = value
        case "--progress": progress = value
        case "--scratch": scratch = value
        default: throw Violation("no option \(word)")
        }
        let takesText = ["--corpus", "--save", "--progress", "--scratch"].contains(word)
        if !takesText && number == nil && Double(value) == nil { throw Violation("\(word) takes a number") }
    }

    func corpus(_ scratch: String) -> Corpus { Corpus(images: images, project: Self.project, scratch: scratch) }
}

/// Says a line at once, also where the output is a file.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

func perform() throws -> Int32 {
    let words = CommandLine.arguments.dropFirst()
    let options = try Options(words.dropFirst())
    switch words.first {
    case "run": return try Controller(options: options).run()
    case "work":
        var worker = try Worker(
            options.targets[0], options.corpus(options.scratch ?? "/tmp"), seed: options.seed,
            progress: options.progress)
        try worker.run(options.first..<options.first + (options.iterations ?? 1))
        if options.isVerbose {
            for (what, count) in worker.target.counts.sorted(by: { $0.key < $1.key }) { say("\(count)\t\(what)") }
        }
        return 0
    case "once":
        // In a process of its own, so that what it leaves can be removed.
        return try withScratch { scratch in
            let worker = Controller(options: options).worker(options.targets[0], scratch, options.first, count: 1)
            try worker.run()
            worker.waitUntilExit()
            let isHarmless = worker.terminationReason == .exit && worker.terminationStatus == 0
            if isHarmless { say("input \(options.first) does no harm") }
            return isHarmless ? 0 : 1
        }
    default: throw Violation("say run, once or work")
    }
}

do {
    exit(try perform())
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(2)
}
