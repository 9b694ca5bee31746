internal import Diagnostics
internal import Restore

extension RestoreCheck {
    /// For people: the verdict first, then what stands in the way and what to do about it, then what would be otherwise.
    func text(_ style: TextStyle) -> String {
        let count = problems.count == 1 ? "one obstacle" : "\(problems.count) obstacles"
        var verdict = "The images in \(directory.printable) "
        verdict += problems.isEmpty ? "can be restored here." : "cannot be restored here: \(count)."
        var parts = [(problems.isEmpty ? style.strong(verdict) : style.alarming(verdict)) + "\n"]
        if let origin { parts[0] += "They are of \(origin.printable).\n" }
        if !addresses.isEmpty {
            parts[0] +=
                "Their TCP connections need these addresses on this host: \(addresses.joined(separator: ", ")).\n"
        }
        parts += Problems.texts(of: problems, style)
        if !warnings.isEmpty {
            parts.append(
                style.strong("What would be otherwise than it was:") + "\n"
                    + warnings.map { "  - " + $0.printable.wrapped(style, hanging: 4) + "\n" }.joined())
        }
        return parts.joined(separator: "\n")
    }

    /// For programs.
    var json: JSON {
        [
            "ok": .bool(problems.isEmpty), "verb": "check", "directory": .string(directory),
            "processes": processes.map { .integer(Int64($0)) } ?? .null, "origin": origin.map { .string($0) } ?? .null,
            "tcp_addresses": .array(addresses.map { .string($0) }),
            "problems": .array(problems.map(\.json)), "warnings": .array(warnings.map { .string($0) }),
        ]
    }
}
