import CLinux
import Glibc
import Linux

/// A program run by a test, always with a time limit, and with its output kept.
struct Command {
    var arguments: [String]
    var environment: [String: String] = [:]
    /// What it inherits beside 0, 1 and 2.
    var inherited: [(there: Int32, here: Int32)] = []

    init(_ arguments: [String]) { self.arguments = arguments }

    /// Runs to the end, or kills it when its time is up.
    func run(seconds: Double = 30) throws(Failed) -> Finished {
        try start().wait(seconds: seconds)
    }

    /// Starts and returns at once.
    func start() throws(Failed) -> Running {
        let ends = try newPipe()
        let output = try temporaryFile()
        let errors = try temporaryFile()
        defer { close(ends.reading) }
        let pid = try spawn([(0, ends.reading), (1, output), (2, errors)] + inherited)
        return Running(
            pid: pid, name: arguments.joined(separator: " "), input: ends.writing, output: output, errors: errors)
    }

    private func spawn(_ descriptors: [(there: Int32, here: Int32)]) throws(Failed) -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (there, here) in descriptors { unsafe posix_spawn_file_actions_adddup2(&actions, here, there) }
        // A program under test is to hold nothing of whoever runs the tests.
        for number in names(in: "/proc/self/fd").compactMap({ Int32($0) }) where number > 2 {
            let flags = fcntl(number, F_GETFD)
            if flags >= 0 && flags & FD_CLOEXEC == 0 && !descriptors.contains(where: { $0.there == number }) {
                unsafe posix_spawn_file_actions_addclose(&actions, number)
            }
        }

        // The tests run in threads that may block signals; a program is to start with none blocked and none ignored.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let variables = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"]
            .merging(environment) { $1 }
        var pid: Int32 = 0
        let error = unsafe withStrings(arguments) { argv in
            unsafe withStrings(variables.map { "\($0.key)=\($0.value)" }.sorted()) { envp in
                unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
            }
        }
        if error != 0 { throw Failed("cannot start \(arguments[0]): error \(error)") }
        return pid
    }
}

/// How a program ended.
struct Finished: CustomStringConvertible {
    /// The exit status, or 128 and the signal that ended it, as a shell has it.
    var status: Int
    var output: String
    var errors: String
    var seconds: Double

    /// The status of a program that was killed because its time was up.
    static let timeIsUp = 999
    var description: String { "status \(status) after \(seconds) s\n\(output)\(errors)" }
}

/// What a test cannot go on without.
struct Failed: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A file without a name, for the output of a program: unlike a pipe it never fills up.
private func temporaryFile() throws(Failed) -> Int32 {
    let temporary = O_DIRECTORY | 0o20000000  // O_TMPFILE, which Swift's Glibc leaves out
    let file = unsafe open("/tmp", temporary | O_RDWR | O_CLOEXEC, 0o600)
    if file < 0 { throw Failed("no temporary file: errno \(errno)") }
    return file
}

/// A pipe that no program inherits by chance: pipe(2) and fcntl(2) would leave a moment for that.
func newPipe() throws(Failed) -> (reading: Int32, writing: Int32) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutablePointer(to: &ends) { pointer in
        // The address is used during the call only.
        try? call(Int(SYS_pipe2), UInt(bitPattern: pointer), UInt(O_CLOEXEC))
    }
    if result == nil { throw Failed("no pipe") }
    return (ends.0, ends.1)
}

/// The strings as C wants them, for the time of `body`.
private func withStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
        // The array ends in nil, so it is never empty.
        guard let base = buffer.baseAddress else { fatalError("no strings") }
        return unsafe body(base)
    }
}
