public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// The pages that a group of processes shares, each read from one that has it.
public struct GroupPages: PageSource {
    private let pieces: [SharingLayers.Piece]
    private let owners: [ProcessPages]

    /// - Parameters:
    ///   - pieces: sorted by address.
    ///   - owners: the processes, by the index by which the pieces name them.
    public init(_ pieces: [SharingLayers.Piece], _ owners: [ProcessPages]) {
        self.pieces = pieces
        self.owners = owners
    }

    public func runs() throws(Problem) -> [StoredRun] {
        pieces.map { StoredRun(address: $0.address, size: $0.end - $0.address, flags: .isPresent) }
    }

    @unsafe public func read(_ wanted: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        var start = 0
        var filled = 0
        while start < wanted.count {
            let owner = owner(of: wanted[start].address)
            var end = start
            var size = 0
            while end < wanted.count, self.owner(of: wanted[end].address) == owner {
                size += Int(wanted[end].size)
                end += 1
            }
            // The pieces fill the buffer one after another, exactly.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + size])
            try unsafe owners[owner].read(Array(wanted[start..<end]), into: part)
            filled += size
            start = end
        }
    }

    /// By halving.
    private func owner(of address: UInt64) -> Int {
        var (low, high) = (0, pieces.count)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end <= address { low = middle + 1 } else { high = middle }
        }
        return pieces[low].owner
    }
}

extension [StoredRun] {
    /// The runs, with what stands in a directory of shared pages marked as in the parent.
    public func referring(to references: [SharingLayers.Reference]) -> [StoredRun] {
        if references.isEmpty { return self }
        var result: [StoredRun] = []
        var next = 0
        for run in self {
            var start = run.address
            let end = run.address + run.size
            while next < references.count, references[next].end <= start { next += 1 }
            var look = next
            while look < references.count, references[look].address < end {
                let (from, to) = (Swift.max(references[look].address, start), Swift.min(references[look].end, end))
                if from > start { result.append(.init(address: start, size: from - start, flags: run.flags)) }
                result.append(.init(address: from, size: to - from, flags: .inParent))
                start = to
                look += 1
            }
            if start < end { result.append(.init(address: start, size: end - start, flags: run.flags)) }
        }
        return result
    }
}
