internal import CLinux
internal import Glibc
public import SystemPackage

/// Other programs.
public enum Subprocess {
    /// posix_spawn(3) of a program, with default signals and none blocked, whatever Apus has done to its own.
    ///
    /// - Parameters:
    ///   - arguments: the path and what follows.
    ///   - variables: `NAME=value`, in place of or beside what is in the environment of Apus.
    ///   - session: it begins a session of its own.
    ///   - group: it begins a process group of its own.
    ///   - descriptors: which descriptors of Apus it gets, under which numbers.
    /// - Returns: the pid of the child.
    public static func spawn(
        _ arguments: [String], adding variables: [String] = [], session: Bool = false, group: Bool = false,
        descriptors: [(there: Int32, here: Int32)] = []
    ) throws(Errno) -> Int32 {
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
        let beginsSession: Int32 = session ? 0x80 : 0  // POSIX_SPAWN_SETSID
        // Number 0 is that of the child.
        let beginsGroup: Int32 = group ? Int32(POSIX_SPAWN_SETPGROUP) : 0
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | beginsSession | beginsGroup))
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (there, here) in descriptors { unsafe posix_spawn_file_actions_adddup2(&actions, here, there) }
        var own: [String] = variables
        var next = unsafe environ
        while let entry = unsafe next.pointee {
            let text = unsafe String(cString: entry)
            let name = text.prefix { $0 != "=" }
            if !variables.contains(where: { $0.hasPrefix(name + "=") }) { own.append(text) }
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
            unsafe posix_spawnp(&pid, $0, &actions, &attributes, &argv, &envp)
        }
        if result != 0 { throw Errno(rawValue: result) }
        return pid
    }
}
