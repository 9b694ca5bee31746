/// Names of system calls, for messages.
public enum SystemCallName {
    /// The name of a number on x86-64, or `syscall_N` for one that is not in the table.
    public static func of(_ number: Int) -> String {
        for (first, names) in SystemCallNames.runs where number >= first && number < first + names.count {
            return String(describing: names[number - first])
        }
        return "syscall_\(number)"
    }
}
