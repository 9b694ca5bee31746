internal import Checkpoint
internal import Diagnostics
internal import Migration

/// What a migration was like, as one page for a browser that needs nothing beside it (`--report`).
struct MigrationPage {
    /// What happened when, in nanoseconds since the start.
    struct Moments {
        var reached: UInt64 = 0
        var judged: UInt64 = 0
        /// By round, when it was over.
        var rounds: [UInt64] = []
        var stopping: UInt64 = 0
    }

    let host: String
    let node: String
    let summary: MigrationSummary
    let moments: Moments
    /// What the other host would do otherwise.
    let warnings: [String]
    /// What the tree held before.
    let processes: [HeldByProcess]

    private static let width = 720.0

    /// The whole page.
    var text: String {
        let root = processes.first
        let what = root.map { "process \($0.pid) (\($0.name))" } ?? "a process tree"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <title>\(escaped("Migration of \(what) to \(host)"))</title>
            <style>
            :root { color-scheme: light dark; --ran: #4a90d9; --stood: #d9534a; --quiet: #9aa5b1; }
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 2em auto; padding: 0 1em; }
            h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 2em }
            dl { display: grid; grid-template-columns: max-content auto; gap: .2em 1.5em } dd { margin: 0 }
            table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: right } th { font-weight: 600 }
            td:first-child, th:first-child { text-align: left } tr + tr { border-top: 1px solid #8884 }
            svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: currentColor }
            </style>
            </head>
            <body>
            <h1>\(escaped("Migration of \(what) to \(host)"))</h1>
            <dl>\(facts)</dl>
            <h2>Timeline</h2>
            \(timeline)
            <h2>Memory that was sent</h2>
            \(rates)
            <h2>Memory by kind</h2>
            \(kinds)
            \(remarks)</body>
            </html>

            """
    }

    private var facts: String {
        let ahead = summary.rounds.reduce(UInt64(0)) { $0 + $1.size }
        let rows: [(String, String)] = [
            (
                "Paused for",
                "\(milliseconds(summary.pause)), and \(milliseconds(summary.rehearsal)) before that, to be looked at"
            ),
            ("In all", milliseconds(summary.total)),
            ("Sent", "\(Quantity.bytes(summary.sent)), \(Quantity.bytes(ahead)) of them memory while the tree ran"),
            (
                "Memory",
                "\(Quantity.bytes(summary.memory)) in all, \(Quantity.bytes(summary.lastSize)) while it stood still"
            ),
            ("Compressed", summary.compressionWords),
            (
                "Slowed",
                summary.slowed == 0
                    ? "not at all"
                    : "by up to \(Int(summary.slowedShare * 100)) %, for \(milliseconds(summary.slowed)) in slices"
            ),
            (
                "Followed",
                summary.late.map { late in
                    "\(Quantity.bytes(late.size)) within \(milliseconds(late.time)); \(late.faults) pages were waited for,"
                        + " \(late.medianWait / 1000) us in the middle"
                } ?? "nothing"
            ),
            (
                "Tree",
                Quantity.count(processes.count, "process", "processes") + ", "
                    + Quantity.count(processes.reduce(0) { $0 + $1.threads }, "thread")
            ),
            ("Other host", node.isEmpty ? host : "\(host) (\(node))"),
        ]
        return rows.map { "<dt>\(escaped($0.0))</dt><dd>\(escaped($0.1))</dd>" }.joined(separator: "\n")
    }

    // MARK: Charts

    private struct Span {
        let name: String
        let start, end: UInt64
        let colour: String
    }

    private var spans: [Span] {
        var spans = [
            Span(name: "reaching the host", start: 0, end: moments.reached, colour: "quiet"),
            Span(name: "rehearsal", start: moments.reached, end: moments.judged, colour: "ran"),
        ]
        var start = moments.judged
        for (index, end) in moments.rounds.enumerated() {
            spans.append(Span(name: "round \(index + 1)", start: start, end: end, colour: "ran"))
            start = end
        }
        // The tree is looked at once more while it runs, stands still, and has ended here at the end.
        let runs = max(moments.stopping, min(start, summary.total))
        let followed = summary.late?.time ?? 0
        let ends = max(runs, summary.total - min(followed, summary.total))
        let pause = min(summary.pause, ends - runs)
        spans.append(Span(name: "last look, pause, clearing up", start: runs, end: ends, colour: "quiet"))
        spans.append(Span(name: "of that the pause", start: ends - pause, end: ends, colour: "stood"))
        if followed > 0 {
            spans.append(Span(name: "memory that followed", start: ends, end: ends + followed, colour: "ran"))
        }
        return spans
    }

    private var timeline: String {
        let (row, label) = (22.0, 210.0)
        let scale = (Self.width - label - 70) / Double(max(summary.total, 1))
        var svg = opened(height: Double(spans.count) * row + 4)
        for (index, span) in spans.enumerated() {
            let y = Double(index) * row
            // The pause lies somewhere within what is above it: its length counts.
            let isPause = span.colour == "stood"
            let start = isPause ? spans[index - 1].start : span.start
            svg += bar(
                label + Double(start) * scale, y + 4, max(Double(span.end - span.start) * scale, 1), row - 8,
                span.colour)
            svg += words(0, y + 15, span.name)
            svg += words(
                label + Double(start + (span.end - span.start)) * scale + 6, y + 15, milliseconds(span.end - span.start)
            )
        }
        return svg + "</svg>"
    }

    /// What was sent in each round, and how fast the program wrote meanwhile.
    private var rates: String {
        if summary.rounds.isEmpty { return "<p>All memory was sent while the tree stood still.</p>" }
        var rows =
            "<tr><th>Round</th><th>sent</th><th>in</th><th>a second</th><th>written to meanwhile, a second</th></tr>\n"
        for (index, round) in summary.rounds.enumerated() {
            // What the next one has to send was written in the time of this one.
            let next = index + 1 < summary.rounds.count ? summary.rounds[index + 1].size : summary.lastSize
            rows +=
                "<tr><td>\(round.number)</td><td>\(Quantity.bytes(round.size))</td><td>\(milliseconds(round.time))</td>"
            rows += "<td>\(rate(round.size, round.time))</td><td>\(rate(next, round.time))</td></tr>\n"
        }
        let largest = Double(max(summary.rounds.map(\.size).max() ?? 0, 1))
        let (row, label) = (22.0, 210.0)
        var svg = opened(height: Double(summary.rounds.count + 1) * row + 4)
        let all = summary.rounds.map { ("round \($0.number)", $0.size, "ran") } + [("pause", summary.lastSize, "stood")]
        for (index, (name, size, colour)) in all.enumerated() {
            let (y, length) = (Double(index) * row, Double(size) / largest * (Self.width - label - 70))
            svg += words(0, y + 15, name) + bar(label, y + 4, max(length, 1), row - 8, colour)
            svg += words(label + length + 6, y + 15, Quantity.bytes(size))
        }
        return "<table>\n\(rows)</table>\n\(svg)</svg>"
    }

    private var kinds: String {
        var sums: [(kind: String, mapped: UInt64, own: UInt64)] = []
        for memory in processes.flatMap(\.memory) {
            if let index = sums.firstIndex(where: { $0.kind == memory.kind }) {
                sums[index].mapped += memory.mapped
                sums[index].own += memory.own
            } else {
                sums.append((memory.kind, memory.mapped, memory.own))
            }
        }
        sums.sort { ($0.own, $0.mapped) > ($1.own, $1.mapped) }
        let largest = Double(max(sums.map(\.own).max() ?? 0, 1))
        let (row, label) = (22.0, 210.0)
        var svg = opened(height: Double(sums.count) * row + 4)
        for (index, sum) in sums.enumerated() {
            let (y, length) = (Double(index) * row, Double(sum.own) / largest * (Self.width - label - 220))
            svg += words(0, y + 15, sum.kind) + bar(label, y + 4, max(length, 1), row - 8, "ran")
            svg += words(
                label + length + 6, y + 15, "\(Quantity.bytes(sum.own)) of \(Quantity.bytes(sum.mapped)) mapped")
        }
        return svg + "</svg>"
    }

    private var remarks: String {
        if warnings.isEmpty { return "" }
        let items = warnings.map { "<li>\(escaped($0))</li>" }.joined(separator: "\n")
        return "<h2>What is otherwise there</h2>\n<ul>\n\(items)\n</ul>\n"
    }

    // MARK: Pieces

    private func opened(height: Double) -> String {
        "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(height))\" width=\"\(Int(Self.width))\" height=\"\(Int(height))\" role=\"img\">\n"
    }

    private func bar(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ colour: String) -> String {
        "<rect x=\"\(tenths(x))\" y=\"\(tenths(y))\" width=\"\(tenths(width))\" height=\"\(tenths(height))\" rx=\"2\""
            + " style=\"fill: var(--\(colour))\"/>\n"
    }

    private func words(_ x: Double, _ y: Double, _ text: String) -> String {
        "<text x=\"\(tenths(x))\" y=\"\(tenths(y))\">\(escaped(text))</text>\n"
    }

    private func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private func milliseconds(_ time: UInt64) -> String { "\((time + 500_000) / 1_000_000) ms" }

    private func rate(_ size: UInt64, _ time: UInt64) -> String {
        Quantity.bytes(UInt64(Double(size) * 1e9 / Double(max(time, 1))))
    }

    /// Text that cannot be taken for markup.
    private func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.printable {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
