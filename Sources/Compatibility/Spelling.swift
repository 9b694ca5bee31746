/// Guesses what somebody meant to type.
enum Spelling {
    /// The names that differ from the written one in the fewest letters, if these are few enough to be a slip.
    static func nearest(to written: String, among names: some Sequence<String>) -> [String] {
        let limit = written.utf8.count < 5 ? 1 : 2
        var best: [String] = []
        var least = limit + 1
        // Each letter that one has more than the other is a difference: long texts need not be compared at all.
        for name in names where abs(name.utf8.count - written.utf8.count) <= limit {
            let distance = distance(Array(written.utf8), Array(name.utf8))
            if distance < least {
                least = distance
                best = [name]
            } else if distance == least && least <= limit {
                best.append(name)
            }
        }
        return best
    }

    /// How many letters must be added, removed or replaced to get from one to the other (Levenshtein).
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
}
