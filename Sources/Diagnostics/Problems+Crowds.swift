extension Problems {
    /// As many that one remedy settles are told each by itself: they fit onto a screen or two.
    private static let mostAlike = 32
    /// Of more, so many are; the others are only named.
    private static let examples = 3

    /// The texts of problems for people. Of a crowd that one remedy settles a few stand for the others, of which each is named:
    /// what has to be done stands there once.
    public static func texts(of problems: [Problem], _ style: TextStyle) -> [String] {
        let crowds = Dictionary(grouping: problems, by: Kind.init).filter { $1.count > mostAlike }
        var told: Set<Kind> = []
        var texts: [String] = []
        for problem in problems {
            guard let crowd = crowds[Kind(problem)] else {
                texts.append(problem.rendered(style))
                continue
            }
            if told.insert(Kind(problem)).inserted { texts.append(text(of: crowd, style)) }
        }
        return texts
    }

    private struct Kind: Hashable {
        let code: Problem.Code
        let remedy: String

        init(_ problem: Problem) { (code, remedy) = (problem.code, problem.remedy) }
    }

    private static func text(of crowd: [Problem], _ style: TextStyle) -> String {
        var parts = crowd.prefix(examples).map { problem in
            var bare = problem
            bare.remedy = ""
            return bare.rendered(style)
        }
        let rest = crowd.dropFirst(examples)
        let names = "and \(rest.count) more: " + names(of: Array(rest))
        parts.append("  " + names.printable.wrapped(style, hanging: 2) + "\n")
        var text = parts.joined(separator: "\n")
        if let remedy = crowd.first?.remedy, !remedy.isEmpty { text += Problem.help(remedy, style) }
        return text
    }

    /// Processes by their numbers, as ranges; other things by what they are called, and where that does not tell them apart by what is
    /// the matter.
    private static func names(of problems: [Problem]) -> String {
        let objects = problems.map(\.object)
        let called = objects.map(\.description)
        guard Set(called).count == called.count, !called.contains("") else {
            return zip(called, problems).map { ($0.isEmpty ? "" : $0 + ": ") + $1.summary }.joined(separator: "; ")
        }
        let pids = objects.compactMap { object -> Int32? in
            object.fd == nil && object.path == nil && object.address == nil ? object.pid : nil
        }
        guard pids.count == objects.count else { return called.joined(separator: "; ") }
        var ranges: [ClosedRange<Int32>] = []
        for pid in Set(pids).sorted() {
            if let last = ranges.last, last.upperBound + 1 == pid {
                ranges[ranges.count - 1] = last.lowerBound...pid
            } else {
                ranges.append(pid...pid)
            }
        }
        return "processes "
            + ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" }
            .joined(separator: ", ")
    }
}
