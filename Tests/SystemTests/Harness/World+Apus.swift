import Glibc
import Testing

extension World {
    /// Runs Apus in the world.
    func apus(
        _ arguments: [String], environment: [String: String] = [:], seconds: Double = 30
    ) throws(Failed) -> Finished {
        var command = command([Place.apus] + arguments)
        command.environment = environment
        return try command.run(seconds: seconds)
    }

    /// Dumps the tree of `pid` into the directory `images` of the folder, which is made.
    func dump(
        _ pid: Int32, to images: String, _ options: [String] = [], environment: [String: String] = [:]
    ) throws(Failed) -> Finished {
        _ = unsafe mkdir(path(images), 0o755)
        var arguments = ["dump", "-t", "\(pid)", "-D", path(images), "-v4", "-o", "dump.log"]
        if Place.patience > 1 { arguments += ["--timeout", "\(Int(10 * Place.patience))"] }
        return try apus(arguments + options, environment: environment)
    }

    /// Restores from the directory `images` of the folder, detached.
    func restore(
        _ images: String, _ options: [String] = [], environment: [String: String] = [:]
    ) throws(Failed) -> Finished {
        try apus(
            ["restore", "-D", path(images), "-d", "-v4", "-o", "restore.log"] + options, environment: environment)
    }

    /// Removes the directory `images` of the folder, which holds files only.
    func removeImages() {
        for name in names(in: path("images")) { _ = unsafe unlink(path("images/\(name)")) }
        _ = unsafe rmdir(path("images"))
    }

    /// The last lines of the log of a dump or a restore, for a test that failed.
    func log(_ images: String, _ name: String) -> String {
        lines(path("\(images)/\(name).log")).suffix(25).joined(separator: "\n")
    }

    /// A dump that has to succeed, after which the tree has gone.
    func requireDump(_ pid: Int32, to images: String, _ options: [String] = []) throws {
        let dump = try dump(pid, to: images, options)
        try #require(dump.status == 0, "dump: \(dump)\n\(log(images, "dump"))")
        if !options.contains("--leave-running") && !options.contains("--leave-stopped") {
            try #require(eventually(seconds: 2) { !isAlive(pid) }, "the tree is still there after its dump")
        }
    }

    func requireRestore(_ images: String, _ options: [String] = []) throws {
        let restore = try restore(images, options)
        try #require(restore.status == 0, "restore: \(restore)\n\(log(images, "restore"))")
    }
}
