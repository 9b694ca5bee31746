import CLinux
import Glibc
import Linux
import SystemPackage

/// A program run as a child of the test, killed and reaped with its owner.
final class Child {
    let pid: Int32

    init(_ arguments: [String]) throws {
        var pid: pid_t = 0
        // The strings are freed below, after the call has copied them.
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
        // The threads that run tests block signals, which a child would inherit.
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        // Everything passed lives in this function; the call copies it.
        let error = unsafe posix_spawn(&pid, arguments[0], nil, &attributes, &pointers, environ)
        if error != 0 { throw Errno(rawValue: error) }
        self.pid = pid
    }

    /// Waits, 10 s at most, until it sleeps: from then on its memory stays as it is.
    func fallAsleep() throws {
        for _ in 0..<1000 {
            if case .call(Int64(SYS_clock_nanosleep), _, _, _)? = try? Procfs.live.process(pid).blockedCall() { return }
            usleep(10_000)
        }
        throw Errno.timedOut
    }

    /// Ends it now, and says how it ended.
    @discardableResult
    func kill() -> WaitStatus? {
        try? Processes.kill(pid, signal: 9)
        return try? Processes.wait(for: pid)?.status
    }

    deinit { kill() }
}
