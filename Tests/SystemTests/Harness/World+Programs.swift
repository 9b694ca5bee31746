import Glibc
import Testing

/// Real programs (Tests/Programs) in a world.
extension World {
    /// Starts one in a folder of its own, `work`, with its output in `out`.
    func startProgram(_ command: [String]) throws -> Int32 {
        try succeed("mkdir", path("work"))
        return try start(["env", "-C", path("work")] + command, output: "out", environment: ["PATH": Programs.search])
    }

    /// Waits for the end, and gives the lines that were printed.
    ///
    /// - Parameter folder: the world in which it was started, if that is another.
    func finish(_ pid: Int32, of folder: World? = nil) throws -> [String] {
        let out = (folder ?? self).path("out")
        try #require(eventually(seconds: 120) { !isAlive(pid) }, "it does not end: \(text(out))")
        return lines(out)
    }
}
