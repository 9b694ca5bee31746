internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Tracing

/// The body of frames that say which pages have yet to come: the space, the number of runs (4), and of each address and size (8).
enum LateRuns {
    /// A frame holds more than three times as many.
    static let mostOfFrame = 100_000
    /// In bytes, of one frame: what is said of more is not believed.
    private static let mostBytes: UInt64 = 1 << 42

    /// The same pages as sorted runs without overlap, however they were announced.
    static func joined(_ runs: [Range<UInt64>]) -> [Range<UInt64>] {
        var all: [Range<UInt64>] = []
        for run in runs.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = all.last, last.upperBound >= run.lowerBound {
                all[all.count - 1] = last.lowerBound..<max(last.upperBound, run.upperBound)
            } else {
                all.append(run)
            }
        }
        return all
    }

    /// - Throws: `protocol` for a body that is none.
    static func parse(_ body: [UInt8]) throws(Problem) -> (space: PageSpace, runs: [Range<UInt64>]) {
        var reader = BodyReader(body)
        let (space, count) = (try reader.space(), Int(try reader.word32()))
        guard count <= mostOfFrame, reader.rest == 16 * count else { throw BodyReader.malformed }
        var runs: [Range<UInt64>] = []
        var total: UInt64 = 0
        for _ in 0..<count {
            let (address, size) = (try reader.word64(), try reader.word64())
            let (end, overflow) = address.addingReportingOverflow(size)
            // Addresses of programs are below 2^56.
            guard address % Pagemap.pageSize == 0, size % Pagemap.pageSize == 0, size > 0, !overflow, end < 1 << 56
            else { throw BodyReader.malformed }
            runs.append(address..<end)
            total += size
            guard size <= mostBytes, total <= mostBytes else { throw BodyReader.malformed }
        }
        return (space, runs)
    }
}

extension Wire {
    /// Says which pages of a space have yet to come, in as many frames as it takes.
    ///
    /// - Throws: as ``send(_:_:)``.
    func send(late runs: [Range<UInt64>], of space: PageSpace, as kind: Frame.Kind) throws(Problem) {
        for start in stride(from: 0, to: runs.count, by: LateRuns.mostOfFrame) {
            let part = runs[start...].prefix(LateRuns.mostOfFrame)
            var body: [UInt8] = []
            space.append(to: &body)
            body.append(littleEndian: UInt32(part.count))
            for run in part {
                body.append(littleEndian: run.lowerBound)
                body.append(littleEndian: run.upperBound - run.lowerBound)
            }
            try send(kind, body)
        }
    }
}
