import Images
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The images that CRIU 4.2 made, in the project's own copy.
enum Fixture {
    static let root = FilePath("\(#filePath)").removingLastComponent().removingLastComponent()
        .appending("Fixtures/criu-4.2")

    static let names = [
        "attributes", "count", "count-pty", "files", "memory", "namespaces", "registers", "tcp", "threads", "timers",
        "tree", "unixsockets", "userns",
    ]

    static func path(_ name: String) -> FilePath { root.appending(name) }
}

/// A directory that is removed, with all that is in it, when it goes out of use.
final class TemporaryDirectory {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/apus-images-XXXXXX".utf8CString)
        // SAFETY: mkdtemp changes the last six characters of the array in place.
        guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(imageBytes: template.map { UInt8(bitPattern: $0) })
    }

    deinit {
        guard let directory = try? ImageDirectory(opening: path) else { return }
        for name in (try? directory.fileNames()) ?? [] {
            let file = path.appending(name).string
            // SAFETY: the strings live as long as the calls.
            if unsafe unlink(file) != 0 { unsafe _ = rmdir(file) }
        }
        unsafe _ = rmdir(path.string)
    }

    func open() throws -> ImageDirectory { try ImageDirectory(opening: path) }

    /// Writes a file as it stands, past all of our own code.
    func put(_ bytes: [UInt8], _ name: String) throws {
        let file = try FileDescriptor.open(
            path.appending(name), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        _ = try file.closeAfter { try file.writeAll(bytes) }
    }

    /// Reads a file as it stands.
    func get(_ name: String) throws -> [UInt8] { try readFile(path.appending(name)) }
}

/// Reads a file as it stands, past all of our own code.
func readFile(_ path: FilePath) throws -> [UInt8] {
    let file = try FileDescriptor.open(path, .readOnly)
    return try file.closeAfter {
        let size = Int(try file.seek(offset: 0, from: .end))
        // SAFETY: read fills no more than the buffer that it is given.
        return unsafe try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = unsafe try file.read(fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }
}

extension TemporaryDirectory {
    /// A copy of a fixture that may be changed.
    convenience init(copying name: String) throws {
        try self.init()
        for file in try ImageDirectory(opening: Fixture.path(name)).fileNames() {
            try put(try readFile(Fixture.path(name).appending(file)), file)
        }
    }

    func remove(_ name: String) throws {
        // SAFETY: the string lives as long as the call.
        guard unsafe unlink(path.appending(name).string) == 0 else { throw Errno(rawValue: errno) }
    }
}

/// The names in a directory.
func fileNames(in path: FilePath) throws -> [String] { try ImageDirectory(opening: path).fileNames() }
