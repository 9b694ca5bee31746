internal import CLinux
internal import Glibc
public import SystemPackage

/// Other programs.
public enum Subprocess {
    /// posix_spawn(3) of a program, with default signals and none blocked, whatever Apus has done to its own.
    ///
    /// - Parameters:
    ///   - arguments: the path and what follows.
    ///   - variables: `NAME=value`, added to the environment of Apus.
    /// - Returns: the pid of the child.
    public static func spawn(_ arguments: [String], adding variables: [String] = []) throws(Errno) -> Int32 {
        // SAFETY: all pointers lead to C strings that live until they are freed below, or to locals.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        var none = sigset_t()
        unsafe sigfillset(&all)
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var own: [String] = variables
        var next = unsafe environ
        while let entry = unsafe next.pointee {
            own.append(unsafe String(cString: entry))
            unsafe next += 1
        }
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = unsafe own.map { unsafe strdup($0) } + [nil]
        defer {
            for index in unsafe argv.indices { unsafe free(argv[index]) }
            for index in unsafe envp.indices { unsafe free(envp[index]) }
        }
        var pid: pid_t = 0
        let result = unsafe (arguments.first ?? "").withCString {
            unsafe posix_spawn(&pid, $0, nil, &attributes, &argv, &envp)
        }
        if result != 0 { throw Errno(rawValue: result) }
        return pid
    }
}
