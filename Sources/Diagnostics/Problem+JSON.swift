internal import SystemPackage

extension Problem {
    /// The problem for programs: `code`, `summary`, `object`, `cause` and `remedy`; what does not apply is absent.
    public var json: JSON {
        var members = [JSON.Member("code", .string(code.rawValue)), .init("summary", .string(summary))]
        if object != Object() { members.append(.init("object", object.json)) }
        if let cause {
            members.append(
                .init(
                    "cause",
                    [
                        "errno": .integer(Int64(cause.errno.rawValue)),
                        "message": .string(cause.errno.description),
                        "attempted": .string(cause.attempted),
                    ]))
        }
        if !remedy.isEmpty { members.append(.init("remedy", .string(remedy))) }
        return .object(members)
    }
}

extension Problem.Object {
    /// The fields that are set. The address is a hexadecimal string: many readers of JSON lose bits of a large number.
    public var json: JSON {
        var members: [JSON.Member] = []
        if let pid { members.append(.init("pid", .integer(Int64(pid)))) }
        if let process { members.append(.init("process", .string(process))) }
        if let fd { members.append(.init("fd", .integer(Int64(fd)))) }
        if let path { members.append(.init("path", .string(path))) }
        if let address { members.append(.init("address", .string("0x" + String(address, radix: 16)))) }
        return .object(members)
    }
}
