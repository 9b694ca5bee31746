internal import Checkpoint
internal import Diagnostics

extension Explanation {
    /// For people: the verdict first, then what stands in the way and what to do about it, then what the tree holds.
    func text(_ style: TextStyle) -> String {
        var parts = [verdict(style).map { $0 + "\n" }.joined()]
        parts += obstacles.map { obstacle in
            // Where the option is the whole remedy it stands there already.
            obstacle.problem.rendered(style)
                + (obstacle.settledBy.map { "  " + style.helpful("with:") + " " + style.strong($0) + "\n" } ?? "")
        }
        parts.append(lines(of: holdings(style)))
        parts.append(lines(of: tree(style)))
        if !losses.isEmpty {
            let texts = losses.map { "\($0.object.description): \($0.text)" }
            parts.append(listed("Lost in a dump, with a warning only:", texts, style))
        }
        parts.append(listed("Found only at the freeze, whether", doubts.map(Self.sentence), style))
        return parts.joined(separator: "\n")
    }

    private func lines(of lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }

    private func listed(_ head: String, _ texts: [String], _ style: TextStyle) -> String {
        style.strong(head) + "\n" + texts.map { "  - " + $0.printable.wrapped(style, hanging: 4) + "\n" }.joined()
    }

    /// Of many things that it concerns, the first few.
    private static func sentence(_ doubt: Doubt) -> String {
        if doubt.objects.isEmpty { return doubt.text }
        let (shown, count) = (3, doubt.objects.count)
        var text = doubt.objects.prefix(shown).map(short).joined(separator: "; ")
        if count > shown { text += "; and \(count - shown) more" }
        return "\(doubt.text) (\(text))"
    }

    private static func short(_ object: Problem.Object) -> String {
        var bare = object
        bare.path = nil
        return bare.description
    }

    private func verdict(_ style: TextStyle) -> [String] {
        guard let root = processes.first else { return [] }
        let others = processes.count - 1
        let subject =
            "Process \(root.pid) (\(root.name.printable))"
            + (others == 0 ? "" : others == 1 ? " and the process below it" : " and the \(others) processes below it")
        let useless = uselessKeys.map {
            style.warning("--external \($0) has no effect: nothing in the tree is called so.".printable)
        }
        if wouldBeDumped { return [style.strong("\(subject) would be dumped.")] + useless }
        let count = obstacles.count == 1 ? "one obstacle" : "\(obstacles.count) obstacles"
        var lines = [style.alarming("\(subject) would not be dumped: \(count).")]
        if !remedy.isEmpty {
            let options = remedy.joined(separator: " ")
            lines.append(style.strong("With \(options) nothing stands in the way."))
            if remedy.contains(where: { $0.hasPrefix("--external") || $0 == "--shell-job" }) {
                lines.append("The restore must be told as well; see the remedies below.")
            }
        } else if obstacles.contains(where: { $0.settledBy != nil }) {
            lines.append("Options settle some of them; for the others see the remedies below.")
        }
        return lines + useless
    }

    // MARK: What the tree holds

    private func holdings(_ style: TextStyle) -> [String] {
        var table = Table([.left, .left, .right, .right])
        let ended = processes.count { $0.state == "ended" }
        table.add(
            "processes",
            Quantity.count(processes.count, "process", "processes")
                + (ended == 0 ? "" : ", \(ended) of them ended"))
        table.add("threads", "\(processes.reduce(0) { $0 + $1.threads })")
        addMemory(to: &table)
        addDescriptors(to: &table)
        let timers = processes.reduce(0) { $0 + $1.timers }
        if timers > 0 { table.add("timers", Quantity.count(timers, "POSIX timer")) }
        let locks = processes.reduce(0) { $0 + $1.locks }
        if locks > 0 { table.add("locks", Quantity.count(locks, "lock") + " on files") }
        let terminals = Set(processes.compactMap(\.terminal)).sorted()
        if !terminals.isEmpty { table.add("terminal", terminals.joined(separator: ", ")) }
        if !addresses.isEmpty {
            table.add("addresses", addresses.joined(separator: ", ") + ": its TCP connections need them at the restore")
        }
        return [style.strong("It holds:")]
            + table.lines { _, column, cell in column == 0 ? style.helpful(cell) : cell }.map { "  " + $0 }
    }

    private func addMemory(to table: inout Table) {
        let parts = processes.flatMap(\.memory)
        let (mapped, own) = (parts.reduce(0) { $0 + $1.mapped }, parts.reduce(0) { $0 + $1.own })
        table.add("memory", "all", Quantity.bytes(mapped) + " mapped", Quantity.bytes(own) + " to be stored")
        for kind in parts.map(\.kind).unique {
            let same = parts.filter { $0.kind == kind }
            table.add(
                "", kind, Quantity.bytes(same.reduce(0) { $0 + $1.mapped }),
                Quantity.bytes(same.reduce(0) { $0 + $1.own }))
        }
    }

    private func addDescriptors(to table: inout Table) {
        let kinds = processes.flatMap(\.descriptors).map(\.kind)
        table.add("descriptors", "all", "\(kinds.count)")
        for kind in kinds.unique.sorted() { table.add("", kind, "\(kinds.count { $0 == kind })") }
    }

    private func tree(_ style: TextStyle) -> [String] {
        var table = Table([.right, .left, .left, .right, .right, .right, .left])
        table.add("PID", "NAME", "STATE", "THREADS", "TO STORE", "FILES", "COMMAND")
        for process in processes {
            table.add(
                "\(process.pid)", process.name.printable, process.state, "\(process.threads)",
                Quantity.bytes(process.memory.reduce(0) { $0 + $1.own }), "\(process.descriptors.count)",
                process.command.printable.shortened(for: style, besides: 70))
        }
        return table.lines { row, column, cell in
            row == 0 ? style.strong(cell) : column == 1 ? style.helpful(cell) : cell
        }
    }
}

extension Array where Element: Hashable {
    /// Each element once, where it stands first.
    fileprivate var unique: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
