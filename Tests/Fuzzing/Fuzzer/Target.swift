/// One input: what a run is given, in files of their names.
struct Input {
    var files: [(name: String, bytes: [UInt8])] = []
    /// In bytes, with what stands beside it and is read as well: what memory is allowed for.
    var size = 0
}

/// Something that reads what nobody has checked.
///
/// What it does with an input may end in a value or in an error of the kinds that it declares, and in nothing else.
protocol Target: SendableMetatype {
    static var name: String { get }

    /// - Throws: where the corpus is not there.
    init(_ corpus: Corpus) throws

    /// What came of the inputs so far, by kind; empty where nobody counts.
    var counts: [String: Int] { get }

    /// Makes the input that the random numbers stand for.
    mutating func make(_ random: inout Random) -> Input

    /// Reads an input.
    ///
    /// - Throws: what the reader must not throw.
    mutating func run(_ input: Input, _ random: inout Random) throws
}

extension Target {
    var counts: [String: Int] { [:] }
}

/// Where undamaged inputs are, and where there is room for damaged ones.
struct Corpus {
    /// Directories with directories of images in them.
    var images: [String]
    /// The sources of the project.
    var project: String
    /// A directory of the run's own, in memory if possible.
    var scratch: String
}

/// Something that a reader must not do.
struct Violation: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = "VIOLATION: " + description }
}

enum Targets {
    static let all: [any Target.Type] = [
        ImageTarget.self, ImageFileTarget.self, ProcTextTarget.self, ConfigurationTarget.self, CommandLineTarget.self,
        JSONTarget.self,
    ]

    static func named(_ name: String) -> (any Target.Type)? {
        (all + [HarmfulTarget.self]).first { $0.name == name }
    }
}

/// Does harm to show that it is found: see the test of the fuzzer.
struct HarmfulTarget: Target {
    static let name = "harmful"
    private var number = 0

    init(_ corpus: Corpus) {}

    mutating func make(_ random: inout Random) -> Input {
        number = random.below(8)
        return Input(files: [("number", [UInt8(number)])], size: 1)
    }

    func run(_ input: Input, _ random: inout Random) throws {
        switch input.files[0].bytes[0] {
        case 5: _ = [Int]()[number]
        case 6: _ = [UInt8](repeating: 1, count: 1 << 30).count
        case 7: throw Violation("thrown")
        default: break
        }
    }
}
