internal import CLinux
public import SystemPackage

extension Processes {
    /// PR_SET_CHILD_SUBREAPER (prctl(2)): whether orphaned descendants become children of this process.
    public static func adoptOrphans(_ adopts: Bool) throws(Errno) {
        let setChildSubreaper: UInt = 36
        try call(Int(SYS_prctl), setChildSubreaper, adopts ? 1 : 0)
    }
}
