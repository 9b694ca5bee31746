internal import Diagnostics
internal import Glibc
public import Images
public import Linux

/// The signal that tells a parent of the end of its child: SIGCHLD for what fork(2) makes, any or none for what
/// clone(2) makes. The images have no place for it.
public enum ExitSignal {
    /// Records the signal of a child, where it is an unusual one.
    public static func capture(_ pid: Int32, _ stat: TaskStat, into descriptions: Descriptions) {
        guard stat.exitSignal != SIGCHLD, stat.exitSignal >= 0 else { return }
        descriptions.supplement[.family, pid] = ["exitSignal": .integer(Int64(stat.exitSignal))]
    }

    /// The signal of a child.
    public static func of(_ pid: Int32, _ supplement: Supplement) -> Int32 {
        guard let number = supplement[.family, pid]?["exitSignal"]?.bits, number <= 64 else { return SIGCHLD }
        return Int32(number)
    }
}
