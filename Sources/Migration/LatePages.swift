/// Which pages of a memory have yet to come, and where each belongs by now: the program may have moved its memory, given
/// it up or unmapped it since it was let run. Addresses are in bytes, whole pages.
struct LatePages {
    /// A part of the memory, where it is and where it was at the source.
    private struct Place {
        var current: UInt64
        var source: UInt64
        var size: UInt64
        var range: Range<UInt64> { current..<current + size }
        var sourceRange: Range<UInt64> { source..<source + size }
    }

    /// A bit for each page of a range of the source.
    private struct Extent {
        let start: UInt64
        var words: [UInt64]
        var end: UInt64 { start + UInt64(words.count) * 64 * LatePages.pageSize }
    }

    static let pageSize: UInt64 = 4096

    /// Sorted by where they are, without overlap.
    private var places: [Place] = []
    /// Sorted by address, without overlap.
    private var extents: [Extent] = []
    /// How many pages have yet to come.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// - Parameter runs: what is to come, sorted by address, without overlap; everything is where it was.
    init(_ runs: [Range<UInt64>]) {
        // Runs that are near each other have their bits in one place.
        let near: UInt64 = 4 << 20
        var start: UInt64?
        var end: UInt64 = 0
        func close(_ extents: inout [Extent], _ places: inout [Place]) {
            guard let first = start else { return }
            let pages = Int((end - first) / Self.pageSize)
            extents.append(Extent(start: first, words: [UInt64](repeating: 0, count: (pages + 63) / 64)))
            places.append(Place(current: first, source: first, size: end - first))
        }
        for run in runs where !run.isEmpty {
            // An extent may have bits behind its end: the next one must not be among them.
            if start == nil || run.lowerBound > end + near {
                close(&extents, &places)
                start = run.lowerBound
            }
            end = run.upperBound
        }
        close(&extents, &places)
        for run in runs { mark(run, true) }
    }

    // MARK: Bits

    /// The first extent that ends behind an address.
    private func firstExtent(behind address: UInt64) -> Int {
        var (low, high) = (0, extents.count)
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func mark(_ range: Range<UInt64>, _ value: Bool) {
        var index = firstExtent(behind: range.lowerBound)
        while index < extents.count, extents[index].start < range.upperBound {
            let start = extents[index].start
            let first = Int((max(range.lowerBound, start) - start) / Self.pageSize)
            let last = Int((min(range.upperBound, extents[index].end) - start) / Self.pageSize)
            for page in first..<last {
                let bit: UInt64 = 1 << UInt64(page % 64)
                let isSet = extents[index].words[page / 64] & bit != 0
                if isSet == value { continue }
                extents[index].words[page / 64] ^= bit
                count += value ? 1 : -1
            }
            index += 1
        }
    }

    /// The parts of a range of the source that have yet to come.
    private func missing(_ range: Range<UInt64>) -> [Range<UInt64>] {
        var found: [Range<UInt64>] = []
        var index = firstExtent(behind: range.lowerBound)
        while index < extents.count, extents[index].start < range.upperBound {
            let extent = extents[index]
            var page = Int((max(range.lowerBound, extent.start) - extent.start) / Self.pageSize)
            let last = Int((min(range.upperBound, extent.end) - extent.start) / Self.pageSize)
            while page < last {
                let word = extent.words[page / 64] >> UInt64(page % 64)
                if word == 0 {
                    page += 64 - page % 64
                    continue
                }
                page += word.trailingZeroBitCount
                guard page < last else { break }
                let first = page
                while page < last, extent.words[page / 64] & 1 << UInt64(page % 64) != 0 { page += 1 }
                let start = extent.start + UInt64(first) * Self.pageSize
                let end = extent.start + UInt64(page) * Self.pageSize
                if let before = found.last, before.upperBound == start {
                    found[found.count - 1] = before.lowerBound..<end
                } else {
                    found.append(start..<end)
                }
            }
            index += 1
        }
        return found
    }

    // MARK: Questions

    /// Everything that has yet to come, by addresses of the source.
    var outstanding: [Range<UInt64>] {
        guard let first = extents.first, let last = extents.last else { return [] }
        return missing(first.start..<last.end)
    }

    /// Where the page at an address was at the source, if it has yet to come.
    func source(of address: UInt64) -> UInt64? {
        guard let place = place(at: address) else { return nil }
        let source = place.source + (address - place.current)
        return missing(source..<source + Self.pageSize).isEmpty ? nil : source
    }

    /// What of a range of the source has yet to come, and where it belongs now.
    func wanted(_ range: Range<UInt64>) -> [(source: Range<UInt64>, current: UInt64)] {
        var found: [(source: Range<UInt64>, current: UInt64)] = []
        for run in missing(range) {
            for place in places where place.sourceRange.overlaps(run) {
                let part = run.clamped(to: place.sourceRange)
                found.append((part, place.current + (part.lowerBound - place.source)))
            }
        }
        return found
    }

    private func place(at address: UInt64) -> Place? {
        var (low, high) = (0, places.count)
        while low < high {
            let middle = (low + high) / 2
            if places[middle].range.upperBound <= address { low = middle + 1 } else { high = middle }
        }
        guard low < places.count, places[low].current <= address else { return nil }
        return places[low]
    }

    // MARK: Changes

    /// Pages are in their place, or are wanted no more; by addresses of the source.
    mutating func settle(_ source: Range<UInt64>) { mark(source, false) }

    /// What is at these addresses now is wanted no more: it reads as zeros.
    mutating func drop(_ range: Range<UInt64>) {
        for place in places where place.range.overlaps(range) {
            let part = range.clamped(to: place.range)
            let source = place.source + (part.lowerBound - place.current)
            mark(source..<source + (part.upperBound - part.lowerBound), false)
        }
    }

    /// Nothing is at these addresses any more.
    mutating func unmap(_ range: Range<UInt64>) {
        drop(range)
        _ = cut(range)
    }

    /// What was at one place is at another.
    mutating func move(from: UInt64, to: UInt64, size: UInt64) {
        let moved = cut(from..<from + size)
        unmap(to..<to + size)
        for var place in moved {
            place.current = to + (place.current - from)
            places.append(place)
        }
        places.sort { $0.current < $1.current }
    }

    /// Takes out the places within a range; what is around it stays.
    private mutating func cut(_ range: Range<UInt64>) -> [Place] {
        var (kept, taken): ([Place], [Place]) = ([], [])
        for place in places {
            guard place.range.overlaps(range) else {
                kept.append(place)
                continue
            }
            let inside = place.range.clamped(to: range)
            func part(_ from: UInt64, _ to: UInt64) -> Place {
                Place(current: from, source: place.source + (from - place.current), size: to - from)
            }
            if place.range.lowerBound < inside.lowerBound {
                kept.append(part(place.range.lowerBound, inside.lowerBound))
            }
            taken.append(part(inside.lowerBound, inside.upperBound))
            if inside.upperBound < place.range.upperBound {
                kept.append(part(inside.upperBound, place.range.upperBound))
            }
        }
        places = kept
        return taken
    }
}
