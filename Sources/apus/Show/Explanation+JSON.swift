internal import Checkpoint
internal import Diagnostics

extension Explanation {
    /// For programs: the verdict, what stands in the way, and what the tree holds. docs/command-line.md has the fields.
    var json: JSON {
        [
            "ok": .bool(wouldBeDumped), "verb": "explain",
            "problems": .array(obstacles.map(\.json)),
            "settled_by": .array(remedy.map { .string($0) }),
            "without_effect": .array(uselessKeys.map { .string("--external \($0)") }),
            "found_only_at_the_freeze": .array(
                doubts.map { doubt in
                    ["whether": .string(doubt.text), "objects": .array(doubt.objects.map(\.json))]
                }),
            "lost_without_refusal": .array(
                losses.map { ["object": $0.object.json, "what": .string($0.text)] }),
            "tcp_addresses": .array(addresses.map { .string($0) }),
            "processes": .array(processes.map(\.json)),
        ]
    }
}

extension Explanation.Obstacle {
    fileprivate var json: JSON {
        guard let settledBy, case .object(let members) = problem.json else { return problem.json }
        return .object(members + [.init("settled_by", .string(settledBy))])
    }
}

extension HeldByProcess {
    fileprivate var json: JSON {
        var members: [JSON.Member] = [
            .init("pid", .integer(Int64(pid))), .init("parent", .integer(Int64(parent))),
            .init("name", .string(name)), .init("command", .string(command)), .init("state", .string(state)),
            .init("threads", .integer(Int64(threads))),
            .init("timers", .integer(Int64(timers))), .init("locks", .integer(Int64(locks))),
        ]
        if let terminal { members.append(.init("terminal", .string(terminal))) }
        members.append(
            .init(
                "memory",
                .array(
                    memory.map { part in
                        [
                            "kind": .string(part.kind), "mappings": .integer(Int64(part.mappings)),
                            "mapped": .integer(Int64(clamping: part.mapped)),
                            "own": .integer(Int64(clamping: part.own)),
                        ]
                    })))
        members.append(
            .init(
                "descriptors",
                .array(
                    descriptors.map { one in
                        ["fd": .integer(Int64(one.number)), "kind": .string(one.kind), "name": .string(one.name)]
                    })))
        return .object(members)
    }
}
