internal import Diagnostics

extension String {
    /// On a terminal a long last column would break a table into pieces; elsewhere it is wanted whole.
    ///
    /// - Parameter taken: the columns of the terminal that others need.
    func shortened(for style: TextStyle, besides taken: Int) -> String {
        let room = max(20, style.columns - taken)
        return style.coloured && count > room ? prefix(room - 1) + "…" : self
    }
}

/// Lines of text in columns.
struct Table {
    enum Alignment {
        case left
        case right
    }

    private let alignments: [Alignment]
    private var rows: [[String]] = []

    /// - Parameter alignments: of each column. A row may have fewer cells, and no more.
    init(_ alignments: [Alignment]) { self.alignments = alignments }

    mutating func add(_ cells: String...) { rows.append(cells) }

    var isEmpty: Bool { rows.isEmpty }

    /// The lines, without spaces at their ends.
    ///
    /// - Parameter paint: gives a cell, already padded, its colours, which take no room.
    func lines(paint: (_ row: Int, _ column: Int, _ cell: String) -> String = { $2 }) -> [String] {
        let widths = alignments.indices.map { column in rows.map { Self.width($0, column) }.max() ?? 0 }
        return rows.enumerated().map { (index, row) in
            var line = ""
            for (column, cell) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - Self.width(row, column))
                let isLast = column == row.count - 1
                let padded =
                    switch alignments[column] {
                    case .left: paint(index, column, cell) + (isLast ? "" : space)
                    case .right: space + paint(index, column, cell)
                    }
                line += (column == 0 ? "" : "  ") + padded
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    private static func width(_ row: [String], _ column: Int) -> Int { column < row.count ? row[column].count : 0 }
}
