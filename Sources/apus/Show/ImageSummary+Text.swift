internal import Diagnostics
internal import Images
internal import SystemPackage

extension ImageSummary {
    /// The summary for people: a head, the process tree, then each process.
    func text(_ style: TextStyle) -> String {
        var lines = head(style)
        lines.append("")
        lines += tree(style)
        for task in tasks where task.state != .dead {
            lines.append("")
            lines += task.lines(style)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func head(_ style: TextStyle) -> [String] {
        var facts = [Quantity.count(fileCount, "image"), Quantity.bytes(fileSize), architecture.text]
        if parentCount > 0 { facts.append("builds upon \(Quantity.count(parentCount, "earlier dump"))") }
        if sharedObjects > 0 {
            facts.append(
                "\(Quantity.bytes(sharedStored)) of shared memory in \(Quantity.count(sharedObjects, "object"))")
        }
        let origin =
            if let toolVersion {
                "Dumped by Apus \(toolVersion.printable)" + (created.map { " at \(Quantity.time($0))" } ?? "")
            } else {
                "Images of CRIU, or of a dump by Apus that was never completed"
            }
        return [style.strong(directory.string.printable), origin, facts.joined(separator: ", ")]
    }

    private func tree(_ style: TextStyle) -> [String] {
        var table = Table([.left, .left, .left, .right, .right, .left])
        table.add("PROCESS", "NAME", "STATE", "SESSION", "GROUP", "COMMAND")
        for task in tasks {
            table.add(
                task.branch + "\(task.pid)", task.name.printable, task.stateText, "\(task.session)",
                "\(task.processGroup)", task.commandText.printable.shortened(for: style, besides: 56))
        }
        return table.lines { row, column, cell in
            switch column {
            case _ where row == 0: style.strong(cell)
            case 2 where cell.hasPrefix("dead"): style.alarming(cell)
            case 2 where cell == "stopped": style.warning(cell)
            case 1: style.helpful(cell)
            default: cell
            }
        }
    }
}

extension TaskSummary {
    /// The lines that join a task to its parent.
    fileprivate var branch: String {
        guard branches.count > 1, let last = branches.last else { return "" }
        let lines = branches.dropFirst().dropLast().map { $0 ? "│  " : "   " }
        return lines.joined() + (last ? "├─ " : "└─ ")
    }

    fileprivate var stateText: String {
        switch state {
        case .alive: threads.count > 1 ? "alive, \(threads.count) threads" : "alive"
        case .dead: "dead" + (end.map { ", \($0)" } ?? "")
        case .stopped: "stopped"
        }
    }

    /// The command line, or else the executable.
    fileprivate var commandText: String {
        command?.joined(separator: " ") ?? executable?.string ?? ""
    }

    fileprivate func lines(_ style: TextStyle) -> [String] {
        var lines = [style.strong("\(pid) \(name)".printable)]
        var facts = Table([.left, .left])
        if let executable { facts.add("executable", executable.string.printable) }
        if let workingDirectory, let root {
            let rooted = root == "/" ? "" : ", root \(root.string)"
            facts.add("directory", (workingDirectory.string + rooted).printable)
        }
        if let uid, let gid {
            facts.add("user", "\(uid), group \(gid)" + (umask.map { ", umask 0" + String($0, radix: 8) } ?? ""))
        }
        if threads.count > 1 {
            facts.add("threads", threads.map { "\($0.tid) \($0.name)" }.joined(separator: ", ").printable)
        }
        lines += facts.lines { _, column, cell in column == 0 ? style.helpful(cell) : cell }.map { "  " + $0 }
        if let memory { lines += memory.lines(style).map { "  " + $0 } }
        lines += descriptorLines(style).map { "  " + $0 }
        return lines
    }

    private func descriptorLines(_ style: TextStyle) -> [String] {
        var table = Table([.right, .left, .left, .left])
        for descriptor in descriptors {
            let details = descriptor.details + (descriptor.closesOnExec ? ["close-on-exec"] : [])
            table.add("\(descriptor.fd)", descriptor.kind, descriptor.name.printable, details.joined(separator: ", "))
        }
        return [style.helpful("files") + "       \(Quantity.count(descriptors.count, "descriptor"))"]
            + table.lines().map { "  " + $0 }
    }
}

extension MemorySummary {
    fileprivate func lines(_ style: TextStyle) -> [String] {
        var table = Table([.left, .right, .right, .right])
        for part in kinds {
            let stored = part.stored == 0 && part.inParent == 0 ? "-" : Quantity.bytes(part.stored)
            table.add(
                part.kind.rawValue, Quantity.count(part.mappings, "mapping"), Quantity.bytes(part.mapped),
                stored == "-" ? stored : stored + " stored")
        }
        var head =
            "\(Quantity.bytes(mapped)) in \(Quantity.count(mappings, "mapping")), \(Quantity.bytes(stored)) stored"
        if inParent > 0 { head += ", \(Quantity.bytes(inParent)) in earlier dumps" }
        return [style.helpful("memory") + "      " + head] + table.lines().map { "  " + $0 }
    }
}
