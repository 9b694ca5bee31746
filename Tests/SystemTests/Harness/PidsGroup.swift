import Glibc

/// A control group that limits how many processes and threads there may be in it, for one test.
final class PidsGroup {
    private let folder: String

    /// What to write "0" into to come into the group.
    var members: String { folder + "/cgroup.procs" }

    /// Where groups with this controller can be made: nil where the host has none. See cgroups(7).
    static let place: String? = {
        let first = "/sys/fs/cgroup/pids"
        if exists(first + "/cgroup.procs") { return first }
        let second = "/sys/fs/cgroup"
        guard text(second + "/cgroup.controllers").split(whereSeparator: \.isWhitespace).contains("pids") else {
            return nil
        }
        _ = try? write("+pids", to: second + "/cgroup.subtree_control")
        return text(second + "/cgroup.subtree_control").contains("pids") ? second : nil
    }()

    init(limit: Int) throws {
        guard let place = Self.place else { throw Failed("no pids controller") }
        var template = Array("\(place)/apus-test.XXXXXX\0".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw Failed("no control group: errno \(errno)") }
        folder = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try allow(limit)
    }

    /// Those who are beyond a new limit stay; they only make no others.
    func allow(_ limit: Int) throws(Failed) { try write("\(limit)", to: folder + "/pids.max") }

    /// A command that comes into the group first.
    func entering(_ command: [String]) -> [String] {
        ["sh", "-c", "echo 0 >'\(members)' && exec \"$@\"", "sh"] + command
    }

    deinit {
        // Its members are dying with their world.
        _ = eventually(seconds: 5) { unsafe rmdir(folder) == 0 }
    }
}
