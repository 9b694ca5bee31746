import Glibc
import SystemPackage

/// What one run of the `apus` program left behind.
struct ProgramRun {
    /// The exit status; 128 and the signal where a signal ended it.
    var status: Int32
    var output: String
    var errors: String
}

/// Runs the program that was built beside the tests.
enum Program {
    static let path: FilePath = {
        var buffer = [CChar](repeating: 0, count: 4096)
        // unsafe: readlink(2) into a local array.
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = FilePath(String(decoding: buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
        return own.removingLastComponent().appending("apus")
    }()

    enum Failure: Error { case spawn(Int32), file(String) }

    /// Runs it in a directory, without the configuration files of the host.
    ///
    /// - Parameters:
    ///   - arguments: bytes after the program's name.
    ///   - name: what the program is told to be called.
    ///   - executable: another program to run instead.
    static func run(
        _ arguments: [[UInt8]], name: String = "apus", executable: FilePath = path, in directory: TemporaryDirectory,
        environment: [String] = []
    ) throws -> ProgramRun {
        let output = directory.path.appending("stdout")
        let errors = directory.path.appending("stderr")
        let variables = ["PATH=/usr/bin:/bin", "HOME=\(directory.path.string)", "TERM=xterm"] + environment
        let status = try spawn(
            executable, [Array(name.utf8)] + arguments, environment: variables, output: output, errors: errors)
        return ProgramRun(status: status, output: try text(of: output), errors: try text(of: errors))
    }

    /// Starts a program, waits for it and gives its exit status; 128 and the signal where a signal ended it.
    static func spawn(
        _ executable: FilePath, _ words: [[UInt8]], environment: [String] = [],
        output: FilePath = "/dev/null", errors: FilePath = "/dev/null"
    ) throws -> Int32 {
        // unsafe: posix_spawn(3) takes pointers to locals, and C strings that live for the calls.
        var actions = unsafe posix_spawn_file_actions_t()
        _ = unsafe posix_spawn_file_actions_init(&actions)
        defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
        let writing = O_WRONLY | O_CREAT | O_TRUNC
        _ = unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        _ = unsafe posix_spawn_file_actions_addopen(&actions, 1, output.string, writing, 0o600)
        _ = unsafe posix_spawn_file_actions_addopen(&actions, 2, errors.string, writing, 0o600)
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe copies(words)
        var variables: [UnsafeMutablePointer<CChar>?] = unsafe copies(environment.map { Array($0.utf8) })
        defer { unsafe (arguments + variables).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let result = unsafe posix_spawn(&pid, executable.string, &actions, nil, &arguments, &variables)
        guard result == 0 else { throw Failure.spawn(result) }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }

    /// C strings that end with a nil, as exec(3) takes them.
    private static func copies(_ strings: [[UInt8]]) -> [UnsafeMutablePointer<CChar>?] {
        unsafe strings.map { unsafe strdup($0.map { CChar(bitPattern: $0) } + [0]) } + [nil]
    }

    static func run(
        _ words: String, name: String = "apus", in directory: TemporaryDirectory, environment: [String] = []
    ) throws -> ProgramRun {
        let arguments = words.split(separator: " ").map { Array($0.utf8) }
        return try run(arguments, name: name, in: directory, environment: environment)
    }

    static func text(of path: FilePath) throws -> String {
        String(decoding: try bytes(of: path), as: UTF8.self)
    }

    static func bytes(of path: FilePath) throws -> [UInt8] {
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter {
            var all: [UInt8] = []
            while true {
                let piece = try unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                    // unsafe: read(2) fills the buffer that the array hands out.
                    count = unsafe try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
                if piece.isEmpty { return all }
                all += piece
            }
        }
    }
}

/// A directory that goes away with its value.
final class TemporaryDirectory: Sendable {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
        // unsafe: mkdtemp(3) fills in the template.
        guard unsafe mkdtemp(&template) != nil else { throw Program.Failure.file("mkdtemp") }
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    deinit { _ = try? Program.spawn("/bin/rm", ["rm", "-rf", "--", path.string].map { Array($0.utf8) }) }

    /// Writes a file into it.
    func write(_ text: String, to name: String) throws {
        let file = try FileDescriptor.open(
            path.appending(name), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }

    func has(_ name: String) -> Bool { unsafe access(path.appending(name).string, F_OK) == 0 }
}
