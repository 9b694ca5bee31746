import Linux
import SystemPackage

/// The recorded copies of `/proc` in Tests/Fixtures/proc.
enum Recorded {
    static let procfs = Procfs(root: FilePath("\(#filePath)").removingLastComponent().appending("../Fixtures/proc"))

    /// A process with an awkward name, files of many kinds, a lock, a timer and a thread.
    static let subject = procfs.process(4711)
}
