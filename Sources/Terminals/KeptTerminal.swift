public import Diagnostics
internal import Images

/// A terminal whose master a keeper holds, as others see it.
public struct KeptTerminal: Sendable, Equatable {
    /// The name by which it can be joined from elsewhere: that of the migration.
    public var id: String
    /// The root of the tree that has it.
    public var pid: Int32
    /// The name of that.
    public var name: String
    /// `/dev/pts/N`.
    public var path: String
    /// The leader of the session that it controls; nil where there is none.
    public var leader: Int32?
    /// Who is joined to it, in words; nil for nobody.
    public var attached: String?
    /// The process that holds it.
    public var keeper: Int32

    public init(id: String, pid: Int32, name: String, path: String, keeper: Int32) {
        (self.id, self.pid, self.name, self.path, self.keeper) = (id, pid, name, path, keeper)
    }

    /// For programs, and as it travels.
    public var json: JSON {
        [
            "id": .string(id), "pid": .integer(Int64(pid)), "name": .string(name), "terminal": .string(path),
            "leader": leader.map { .integer(Int64($0)) } ?? .null, "attached": attached.map { .string($0) } ?? .null,
            "keeper": .integer(Int64(keeper)),
        ]
    }

    /// Reads what ``json`` has written; nil where it is none.
    init?(_ json: JSON) {
        guard let id = json["id"]?.string, let name = json["name"]?.string, let path = json["terminal"]?.string,
            let pid = json["pid"]?.pid, let keeper = json["keeper"]?.pid
        else { return nil }
        self.init(id: id, pid: pid, name: name, path: path, keeper: keeper)
        leader = json["leader"]?.pid
        attached = json["attached"]?.string
    }
}

extension JSON {
    /// A number that can be a pid.
    var pid: Int32? { bits.flatMap { Int32(exactly: $0) } }
    /// A number of rows or columns.
    var extent: UInt16? { bits.flatMap { UInt16(exactly: $0) } }
}
