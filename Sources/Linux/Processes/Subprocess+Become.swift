internal import CLinux
internal import Glibc
public import SystemPackage

extension Subprocess {
    /// Another program takes the place of this one (execvp(3)), with default signals and none blocked, whatever Apus has done to its
    /// own. Descriptors that are not to be closed on exec are its own then.
    ///
    /// - Parameter arguments: the name, looked for in PATH, and what follows.
    /// - Throws: what execvp(3) says; a program that runs does not return.
    public static func become(_ arguments: [String]) throws(Errno) -> Never {
        for number in 1...31 as ClosedRange<Int32> where number != SIGKILL && number != SIGSTOP {
            _ = signal(number, SIG_DFL)
        }
        // SAFETY: all pointers lead to C strings that live until another program is there, or to locals.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigprocmask(SIG_SETMASK, &none, nil)
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        if let program = unsafe argv[0] { unsafe execvp(program, &argv) }
        throw Errno(rawValue: arguments.isEmpty ? ENOENT : apus_errno())
    }
}
