internal import Diagnostics
internal import Images
internal import SystemPackage

extension ImageSummary {
    /// The summary for programs. Sizes are in bytes; what is not known is null.
    var json: JSON {
        [
            "directory": .string(directory.string),
            "tool": .string(toolVersion == nil ? "criu" : "apus"),
            "version": .text(toolVersion),
            "created": .number(created),
            "architecture": .string(architecture.text),
            "images": .integer(Int64(fileCount)),
            "size": .unsigned(fileSize),
            "parents": .integer(Int64(parentCount)),
            "shared_memory": ["objects": .integer(Int64(sharedObjects)), "stored": .unsigned(sharedStored)],
            "tasks": .array(tasks.map(\.json)),
        ]
    }
}

extension TaskSummary {
    fileprivate var json: JSON {
        [
            "pid": .integer(Int64(pid)),
            "parent": .integer(Int64(parent)),
            "session": .integer(Int64(session)),
            "group": .integer(Int64(processGroup)),
            "name": .string(name),
            "state": .string("\(state)"),
            "end": .text(end),
            "executable": .text(executable?.string),
            "command": command.map { .array($0.map(JSON.string)) } ?? .null,
            "directory": .text(workingDirectory?.string),
            "root": .text(root?.string),
            "umask": .number(umask),
            "uid": .number(uid),
            "gid": .number(gid),
            "threads": .array(threads.map { ["tid": .integer(Int64($0.tid)), "name": .string($0.name)] }),
            "memory": memory?.json ?? .null,
            "files": .array(descriptors.map(\.json)),
        ]
    }
}

extension MemorySummary {
    fileprivate var json: JSON {
        [
            "mapped": .unsigned(mapped),
            "stored": .unsigned(stored),
            "in_parent": .unsigned(inParent),
            "kinds": .array(
                kinds.map { part in
                    [
                        "kind": .string(part.kind.rawValue),
                        "mappings": .integer(Int64(part.mappings)),
                        "mapped": .unsigned(part.mapped),
                        "stored": .unsigned(part.stored),
                        "in_parent": .unsigned(part.inParent),
                    ]
                }),
        ]
    }
}

extension DescriptorSummary {
    fileprivate var json: JSON {
        [
            "fd": .unsigned(UInt64(fd)),
            "kind": .string(kind),
            "name": .string(name),
            "details": .array(details.map(JSON.string)),
            "close_on_exec": .bool(closesOnExec),
        ]
    }
}

extension JSON {
    fileprivate static func text(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }

    fileprivate static func number(_ number: (some BinaryInteger)?) -> JSON {
        number.map { .integer(Int64($0)) } ?? .null
    }
}
