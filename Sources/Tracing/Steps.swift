internal import CLinux
internal import Glibc
internal import Synchronization

/// Counts the steps in which Apus touches a process or makes its work final.
///
/// The count goes into the statistics, and it is where the tests strike: with `APUS_TEST_KILL_AT_STEP=N` in its
/// environment Apus ends itself by SIGKILL just before step N, as an out-of-memory killer would.
public enum Steps {
    private static let counter = Atomic<Int>(0)
    private static let fatal: Int = number(of: "APUS_TEST_KILL_AT_STEP") ?? 0

    /// How many steps have been taken.
    public static var count: Int { counter.load(ordering: .relaxed) }

    /// To be called before each step.
    public static func take() {
        let number = counter.add(1, ordering: .relaxed).newValue
        guard number == fatal else { return }
        _ = apus_syscall(Int(SYS_kill), UInt(getpid()), UInt(SIGKILL), 0, 0, 0, 0)
        // The init of a pid namespace cannot be killed from inside (pid_namespaces(7)).
        _ = apus_syscall(Int(SYS_exit_group), 137, 0, 0, 0, 0, 0)
    }

    /// Writes the number of steps to the file that `APUS_TEST_STEP_LOG` names, if it does.
    public static func report() {
        guard let path = unsafe getenv("APUS_TEST_STEP_LOG") else { return }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard file >= 0 else { return }
        let text = Array("\(count)\n".utf8)
        _ = unsafe write(file, text, text.count)
        close(file)
    }

    private static func number(of variable: String) -> Int? {
        guard let text = unsafe getenv(variable) else { return nil }
        return unsafe Int(String(cString: text))
    }
}
