import Diagnostics
import Foundation
import Images
import Logging
import Restore
import SystemPackage

/// Directories of images, of which some files are damaged: shown, decoded file by file, read whole, planned from, and
/// taken through all of a restore that comes before processes are made (`restore --dry-run`).
struct ImageTarget: Target {
    static let name = "images"

    private struct Directory {
        let path: String
        /// All files but those of pages, by their names; in a fixed order.
        let files: [(name: String, bytes: [UInt8])]
        let pages: [String]
        var size: Int { files.reduce(0) { $0 + $1.bytes.count } }
    }

    private let directories: [Directory]
    private let logger = Logger(label: "fuzzer") { _ in SwiftLogNoOpLogHandler() }
    private var chosen = 0

    init(_ corpus: Corpus) throws {
        var found: [Directory] = []
        for place in corpus.images {
            for name in try FileManager.default.contentsOfDirectory(atPath: place).sorted() {
                let source = "\(place)/\(name)"
                guard FileManager.default.fileExists(atPath: source + "/pstree.img") else { continue }
                let copy = "\(corpus.scratch)/\(found.count)-\(name)"
                try FileManager.default.copyItem(atPath: source, toPath: copy)
                found.append(try Self.load(copy))
            }
        }
        guard !found.isEmpty else { throw Violation("there are no images in \(corpus.images)") }
        directories = found
    }

    private static func load(_ path: String) throws -> Directory {
        var (files, pages) = ([(name: String, bytes: [UInt8])](), [String]())
        for name in try FileManager.default.subpathsOfDirectory(atPath: path).sorted() {
            let isPages = name.split(separator: "/").last?.hasPrefix("pages-") ?? false
            if isPages {
                pages.append(name)
                continue
            }
            var isDirectory: ObjCBool = false
            _ = unsafe FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isDirectory)
            if isDirectory.boolValue || name.hasSuffix(".log") { continue }
            files.append((name, Array(try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))))
        }
        return Directory(path: path, files: files, pages: pages)
    }

    mutating func make(_ random: inout Random) -> Input {
        chosen = random.below(directories.count)
        let directory = directories[chosen]
        var input = Input(size: directory.size)
        // What is damaged much is refused soon.
        for _ in 0...random.pick([0, 0, 0, 0, 1, 2]) {
            let file = random.pick(directory.files)
            let bytes = damaged(file, &random)
            input.files.removeAll { $0.name == file.name }
            input.files.append((file.name, bytes))
            input.size += bytes.count
        }
        // A manifest knows how long each file was: with it most damage is found at once.
        if !input.files.contains(where: { $0.name == "manifest.json" }), !random.one(in: 6) {
            input.files.append(("manifest.json", []))
        }
        return input
    }

    private func damaged(_ file: (name: String, bytes: [UInt8]), _ random: inout Random) -> [UInt8] {
        let other = another(like: file, &random)
        if file.name.hasSuffix(".json") { return TextMutation.damage(file.bytes, with: other, &random) }
        if !random.one(in: 8), let bytes = MessageMutation.damage(file.bytes, with: other, &random) { return bytes }
        return Mutation.damage(file.bytes, with: other, &random)
    }

    /// The same file of another process or directory.
    private func another(like file: (name: String, bytes: [UInt8]), _ random: inout Random) -> [UInt8] {
        func kind(_ name: String) -> Substring { name.prefix { $0 != "-" && $0 != "." } }
        let fitting = random.pick(directories).files.filter { kind($0.name) == kind(file.name) }
        return fitting.isEmpty ? file.bytes : random.pick(fitting).bytes
    }

    /// What came of it.
    private let outcomes = Outcomes()
    var counts: [String: Int] { outcomes.counts }

    mutating func run(_ input: Input, _ random: inout Random) throws {
        let directory = directories[chosen]
        for file in input.files { try write(file.bytes, to: file.name, in: directory) }
        defer {
            for file in directory.files where input.files.contains(where: { $0.name == file.name }) {
                try? write(file.bytes, to: file.name, in: directory)
            }
        }
        // To read all takes ten times as long as to read what is damaged.
        let way = random.below(12)
        let images = try ImageDirectory(opening: FilePath(directory.path))
        for file in input.files where !file.name.contains("/") {
            try outcomes.note("decode") { try decode(file.name, in: images) }
        }
        switch way {
        case 0: try outcomes.note("show") { _ = try ImageSummary(of: images) }
        case 1: try outcomes.note("verify") { try Restoration.verify(images, shellJob: true) }
        case 2: try outcomes.note("dry run") { try dryRun(directory) }
        case 3: try outcomes.note("pages") { try readPages(images) }
        default: break
        }
    }

    mutating func makeFile(_ random: inout Random) -> Input {
        chosen = random.below(directories.count)
        let file = random.pick(directories[chosen].files)
        let bytes = damaged(file, &random)
        return Input(files: [(file.name, bytes)], size: bytes.count)
    }

    /// Decodes a file, and puts the whole one back.
    func decode(_ input: Input) throws {
        let directory = directories[chosen]
        for file in input.files { try write(file.bytes, to: file.name, in: directory) }
        defer {
            for file in directory.files where file.name == input.files[0].name {
                try? write(file.bytes, to: file.name, in: directory)
            }
        }
        let outcomes = Outcomes()
        let images = try ImageDirectory(opening: FilePath(directory.path))
        try outcomes.note("decode") { try decode(input.files[0].name, in: images) }
    }

    /// Nothing in the place of an empty file: as if it had been forgotten.
    private func write(_ bytes: [UInt8], to name: String, in directory: Directory) throws {
        let path = "\(directory.path)/\(name)"
        if bytes.isEmpty {
            _ = unsafe path.withCString { unsafe unlink($0) }
            return
        }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        let written = unsafe bytes.withUnsafeBytes { unsafe Foundation.write(file, $0.baseAddress, $0.count) }
        close(file)
        if written != bytes.count { throw Violation("\(path) cannot be written") }
    }

    private func decode(_ name: String, in images: ImageDirectory) throws {
        guard let (kind, _) = AnyImageKind.named(name), let file = try images.file(named: name) else { return }
        _ = try kind.json(of: file).text(indented: true)
    }

    private func dryRun(_ directory: Directory) throws {
        var options = RestoreOptions(imagesDirectory: FilePath(directory.path))
        options.dryRun = true
        options.shellJob = true
        _ = try Restoration.run(options, logger: logger)
    }

    private func readPages(_ directory: ImageDirectory) throws {
        let images = try CheckpointImages(reading: directory)
        let layers = try PageLayers(of: directory)
        for task in images.tasks {
            let pid = UInt64(UInt32(bitPattern: task.pid))
            let reader = try PageReader(layers, id: pid)
            for segment in try layers.segments(id: pid) { _ = try reader.bytes(at: segment.address, count: 4096) }
        }
        for name in try directory.fileNames() {
            guard let (kind, id) = AnyImageKind.named(name), kind.layout.kind == "GHOST_FILE" else { continue }
            _ = try directory.ghost(id: UInt32(truncatingIfNeeded: id))
        }
    }
}

/// Image files by themselves, each decoded to JSON as `apus show FILE` does.
struct ImageFileTarget: Target {
    static let name = "files"
    private var images: ImageTarget

    init(_ corpus: Corpus) throws { images = try ImageTarget(corpus) }

    mutating func make(_ random: inout Random) -> Input { images.makeFile(&random) }

    func run(_ input: Input, _ random: inout Random) throws { try images.decode(input) }
}

/// How often which end was met: whether a fuzzer gets anywhere.
final class Outcomes {
    private(set) var counts: [String: Int] = [:]

    func note(_ outcome: String) { counts[outcome, default: 0] += 1 }

    /// Problems are answers; whatever else is thrown is a defect.
    func note(_ what: String, _ body: () throws -> Void) throws {
        do {
            try body()
            note("\(what): done")
        } catch let problem as Problem {
            _ = problem.rendered()
            note("\(what): \(problem.code.rawValue)")
        } catch let problems as Problems {
            _ = problems.rendered()
            note("\(what): \(problems.all[0].code.rawValue)")
        }
    }
}
