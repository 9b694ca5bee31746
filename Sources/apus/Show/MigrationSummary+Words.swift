internal import Diagnostics
internal import Migration

/// How what was sent was compressed.
extension MigrationSummary {
    /// For people.
    var compressionWords: String {
        let packed = ways.filter { $0.name != "none" }
        var parts = packed.map { way in
            let percent = (way.carried * 100 + way.content / 2) / max(way.content, 1)
            return "\(Quantity.bytes(way.content)) by \(way.name) to \(percent) %"
        }
        if let plain = ways.first(where: { $0.name == "none" }) {
            parts.append(parts.isEmpty ? "nothing" : "\(Quantity.bytes(plain.content)) not at all")
        }
        if zeros > 0 { parts.append("\(Quantity.bytes(zeros)) were zeros") }
        return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }

    /// For programs.
    var compressionJSON: JSON {
        .array(
            ways.map {
                ["name": .string($0.name), "bytes": .unsigned($0.content), "sent_bytes": .unsigned($0.carried)]
            })
    }
}

/// How the tree was slowed, and what its memory went over.
extension MigrationSummary {
    /// Where there was more than one connection.
    var channelWords: String { channels > 1 ? ", over \(channels) connections" : "" }

    /// A line for people; nothing where the original has ended.
    var originalWords: String {
        keptOriginal.map {
            "  original      process \($0) is still here, stopped: end it (kill -9) once the tree does well there\n"
        } ?? ""
    }

    /// A line for people; nothing where the tree has the pids of that host.
    var namespaceWords: String {
        if !hasOwnPids { return "" }
        let way =
            namespaceInit.map { ", process \($0): nsenter -t \($0) -p -m leads there" }
            ?? ": lsns -t pid tells the others"
        return "  its pids      are those of a namespace of its own there, whose init is apus\(way)\n"
    }

    /// A line for people; nothing where it was not.
    var slowedWords: String {
        if slowed == 0 { return "" }
        return
            "  slowed        by up to \(Int(slowedShare * 100)) %: it stood still for \((slowed + 500_000) / 1_000_000) ms in slices\n"
    }
}
