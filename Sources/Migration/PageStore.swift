internal import Checkpoint
internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import Restore
internal import Synchronization
internal import SystemPackage
internal import Tracing

/// The pages that have come, each of them in its latest state: one file in memory for each space, and in it a place for
/// each 2 MiB of the space that any page has come of; those of a root that is there already in its memory, where they are
/// to be.
final class PageStore: PageLocator, EarlyPages {
    /// In bytes. What is read into huge pages stands together.
    static let chunkSize: UInt64 = 2 << 20
    static let pagesOfChunk = Int(chunkSize / Pagemap.pageSize)
    static let pageBytes = Int(Pagemap.pageSize)

    private struct State {
        var spaces: [PageSpace: Space] = [:]
        var files: [UInt32: SharedDescriptor] = [:]
        var layout: [PagesName: [CarriedFile.Part]] = [:]
        /// By file: where each part begins.
        var starts: [PagesName: [UInt64]] = [:]
        /// The memory of the root, where that is there already.
        var early: EarlyMemory?
        /// What follows when the tree runs, by the process that it is of, in the order in which it was announced.
        var late: [Int32: [Range<UInt64>]] = [:]
    }

    private struct PagesName: Hashable {
        let layer: Int
        let id: UInt32
    }

    private let state = Mutex(State())

    // MARK: Filling

    /// Takes the body of a frame with pages.
    ///
    /// - Parameter isSparse: some of them may be zeros.
    /// - Returns: how many bytes of pages it had, with those that are zeros.
    /// - Throws: `protocol` for a body that is none; where there is no memory for them.
    func take(_ body: [UInt8], isSparse: Bool = false) throws(Problem) -> UInt64 {
        let frame = try PageFrame(body, isSparse: isSparse)
        let result = state.withLock { state in
            Result { () throws(Problem) in try Self.write(frame, body, &state) }
        }
        try result.get()
        return frame.size
    }

    /// Takes the body of a frame that says which pages follow when the tree runs.
    ///
    /// - Throws: `protocol` for a body that is none, or pages of memory that cannot come so late.
    func takeLate(_ body: [UInt8]) throws(Problem) {
        let (space, runs) = try LateRuns.parse(body)
        guard let pid = space.pid else { throw BodyReader.malformed }
        let result = state.withLock { state -> Result<Void, Problem> in
            Result { () throws(Problem) in
                var own: Space
                if let known = state.spaces.removeValue(forKey: space) {
                    own = known
                } else {
                    own = try Self.newSpace(&state)
                }
                for run in runs { own.expectLate(run) }
                state.spaces[space] = own
                state.late[pid, default: []] += runs
            }
        }
        try result.get()
    }

    /// Takes the body of a frame that says which pages are out of date.
    ///
    /// - Returns: which of them are in the memory of the root, sorted by address.
    /// - Throws: `protocol` for a body that is none.
    func forget(_ body: [UInt8]) throws(Problem) -> [Range<UInt64>] {
        let (space, runs) = try LateRuns.parse(body)
        return state.withLock { state in
            guard var own = state.spaces.removeValue(forKey: space) else { return [] }
            defer { state.spaces[space] = own }
            return LateRuns.joined(runs.flatMap { own.forget($0) })
        }
    }

    /// What follows when the tree runs, by the process that it is of, sorted by address, without overlap.
    var late: [Int32: [Range<UInt64>]] {
        state.withLock { $0.late.mapValues(LateRuns.joined) }
    }

    private static func write(_ frame: PageFrame, _ body: [UInt8], _ state: inout State) throws(Problem) {
        let space = frame.space
        var own: Space
        if let known = state.spaces.removeValue(forKey: space) { own = known } else { own = try newSpace(&state) }
        defer { state.spaces[space] = own }
        let early = state.early
        var position = frame.start
        do throws(Errno) {
            for piece in frame.pieces {
                var (address, left) = (piece.address, piece.size)
                while left > 0 {
                    let within = address % chunkSize
                    let size = min(left, chunkSize - within)
                    let range = address..<address + size
                    let parts = space.pid.flatMap { early?.cut(range, of: $0) } ?? [(part: range, isInside: false)]
                    for (part, isInside) in parts {
                        if piece.isZeros {
                            try own.clear(part, in: isInside ? early : nil)
                            continue
                        }
                        let bytes = position..<position + Int(part.upperBound - part.lowerBound)
                        try own.put(body[bytes], at: part.lowerBound, into: isInside ? early : nil)
                        position = bytes.upperBound
                    }
                    address += size
                    left -= size
                }
            }
        } catch {
            throw noMemory(error)
        }
    }

    private static func newSpace(_ state: inout State) throws(Problem) -> Space {
        do throws(Errno) {
            let file = SharedDescriptor(try Files.memory(named: "apus-pages", flags: MemoryFileFlag.closeOnExec))
            let number = UInt32(state.files.count + 1)
            state.files[number] = file
            return Space(number: number, file: file)
        } catch {
            throw noMemory(error)
        }
    }

    private static func noMemory(_ error: Errno) -> Problem {
        Problem(
            .noMemory, "there is no memory for the pages that come", cause: .init(error, attempted: "pwrite"),
            remedy: "Free memory on this host, or move the processes to a larger one")
    }

    /// Takes what a pages file of the images would hold, or the next part of it.
    ///
    /// - Throws: `protocol`.
    func takeLayout(_ body: [UInt8]) throws(Problem) {
        var reader = BodyReader(body)
        let name = PagesName(layer: Int(try reader.word32()), id: try reader.word32())
        var parts: [CarriedFile.Part] = []
        while reader.rest > 0 {
            let space = try reader.space()
            let part = CarriedFile.Part(space: space, address: try reader.word64(), size: try reader.word64())
            guard part.address % Pagemap.pageSize == 0, part.size % Pagemap.pageSize == 0,
                part.address <= UInt64.max - part.size
            else { throw BodyReader.malformed }
            parts.append(part)
        }
        try state.withLock { state -> Result<Void, Problem> in
            var position: UInt64 = 0
            if let start = state.starts[name]?.last, let part = state.layout[name]?.last {
                position = start + part.size
            }
            for part in parts {
                let (end, overflow) = position.addingReportingOverflow(part.size)
                if overflow { return .failure(BodyReader.malformed) }
                state.starts[name, default: []].append(position)
                state.layout[name, default: []].append(part)
                position = end
            }
            return .success(())
        }.get()
    }

    // MARK: Finding

    func file(_ id: UInt32) -> Int32? { state.withLock { $0.files[id]?.descriptor.raw } }

    func locate(_ segment: PageLayers.Segment) throws(Problem) -> [PageLayers.Segment] {
        try state.withLock { state in
            Result { () throws(Problem) in try Self.locate(segment, state) }
        }.get()
    }

    private static func locate(
        _ segment: PageLayers.Segment, _ state: borrowing State
    ) throws(Problem) -> [PageLayers.Segment] {
        let name = PagesName(layer: segment.layer, id: segment.pagesID)
        guard let parts = state.layout[name], let starts = state.starts[name] else { throw missing(segment) }
        var found: [PageLayers.Segment] = []
        var (position, address) = (segment.fileOffset, segment.address)
        let end = segment.address + segment.pages * Pagemap.pageSize
        // The last part that begins at or before the position.
        var (low, high) = (0, starts.count)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= position { low = middle + 1 } else { high = middle }
        }
        var index = low - 1
        while address < end {
            guard parts.indices.contains(index), position >= starts[index],
                position < starts[index] + parts[index].size
            else { throw missing(segment) }
            let part = parts[index]
            let offset = position - starts[index]
            let size = min(end - address, part.size - offset)
            guard let space = state.spaces[part.space] else { throw missing(segment) }
            try locate(part.address + offset, size, as: address, segment.isLazy, in: space, &found)
            position += size
            address += size
            index += 1
        }
        return found
    }

    /// - Parameter target: the address at which the pages are wanted.
    private static func locate(
        _ start: UInt64, _ size: UInt64, as target: UInt64, _ isLazy: Bool, in space: Space,
        _ found: inout [PageLayers.Segment]
    ) throws(Problem) {
        var (address, left) = (start, size)
        while left > 0 {
            let within = address % chunkSize
            let first = Int(within / Pagemap.pageSize)
            let limit = first + Int(min(left, chunkSize - within) / Pagemap.pageSize)
            let chunk = space.chunks[address / chunkSize] ?? Chunk()
            let wanted = target + (address - start)
            let (pages, next): (Range<Int>, PageLayers.Segment)
            if chunk.inPlace.contains(first), wanted == address {
                pages = chunk.inPlace.run(from: first, to: limit)
                next = EarlyRoot.segment(at: address, pages: UInt64(pages.count))
            } else if chunk.present.contains(first), let place = chunk.place {
                pages = chunk.present.run(from: first, to: limit)
                next = PageLayers.Segment(
                    address: wanted, pages: UInt64(pages.count), layer: PageLayers.Segment.elsewhere,
                    pagesID: space.number, fileOffset: place + within, isLazy: isLazy)
            } else if chunk.late.contains(first) {
                // They are no part of what the restore reads.
                let count = UInt64(chunk.late.run(from: first, to: limit).count) * Pagemap.pageSize
                address += count
                left -= count
                continue
            } else {
                throw Problem(
                    .badProtocol, "pages at 0x\(String(address, radix: 16)) have not come",
                    remedy: "Migrate again; if it happens again, report it")
            }
            let count = UInt64(pages.count) * Pagemap.pageSize
            if let last = found.last, last.pagesID == next.pagesID,
                last.address + last.pages * Pagemap.pageSize == next.address,
                last.fileOffset + last.pages * Pagemap.pageSize == next.fileOffset
            {
                found[found.count - 1].pages += next.pages
            } else {
                found.append(next)
            }
            address += count
            left -= count
        }
    }

    // MARK: A root that is there already

    /// From here on pages of processes go into this memory, as far as there is room for them.
    func fill(_ early: EarlyMemory) { state.withLock { $0.early = early } }

    func pagesInPlace(of pid: Int32) -> [Range<UInt64>] {
        state.withLock { state in
            guard let space = state.spaces[.process(pid)] else { return [] }
            var found: [Range<UInt64>] = []
            for index in space.chunks.keys.sorted() {
                for run in space.chunks[index]?.inPlace.runs ?? [] {
                    let range = Self.range(of: run, inChunk: index)
                    if let last = found.last, last.upperBound == range.lowerBound {
                        found[found.count - 1] = last.lowerBound..<range.upperBound
                    } else {
                        found.append(range)
                    }
                }
            }
            return found
        }
    }

    func fetchBack(of pid: Int32, besides kept: [Range<UInt64>], wanted: [Range<UInt64>]) throws(Problem) {
        try state.withLock { state in
            Result { () throws(Problem) in try Self.fetchBack(of: pid, besides: kept, wanted, &state) }
        }.get()
    }

    private static func fetchBack(
        of pid: Int32, besides kept: [Range<UInt64>], _ wanted: [Range<UInt64>], _ state: inout State
    ) throws(Problem) {
        guard let early = state.early, var space = state.spaces.removeValue(forKey: .process(pid)) else { return }
        defer { state.spaces[.process(pid)] = space }
        for index in Array(space.chunks.keys) {
            for run in space.chunks[index]?.inPlace.runs ?? [] {
                let there = range(of: run, inChunk: index)
                for part in there.without(kept.filter { $0.overlaps(there) }) {
                    let first = Int(part.lowerBound % chunkSize / Pagemap.pageSize)
                    let pages = first..<first + Int((part.upperBound - part.lowerBound) / Pagemap.pageSize)
                    space.chunks[index]?.inPlace.remove(pages)
                    do throws(Errno) {
                        for needed in wanted where needed.overlaps(part) {
                            let range = needed.clamped(to: part)
                            try space.put(ArraySlice(try early.read(range)), at: range.lowerBound, into: nil)
                        }
                    } catch {
                        throw noMemory(error)
                    }
                }
            }
        }
    }

    static func range(of pages: Range<Int>, inChunk index: UInt64) -> Range<UInt64> {
        let start = index * chunkSize
        return start + UInt64(pages.lowerBound) * Pagemap.pageSize..<start + UInt64(pages.upperBound) * Pagemap.pageSize
    }

    private static func missing(_ segment: PageLayers.Segment) -> Problem {
        Problem(
            .badProtocol, "nothing is known of the pages at 0x\(String(segment.address, radix: 16))",
            remedy: "Migrate again; if it happens again, report it")
    }
}

extension PageSpace {
    /// Whose private memory it is; nil where it is none.
    var pid: Int32? { if case .process(let pid) = self { pid } else { nil } }
}

extension Problem.Code {
    /// There is not enough memory.
    static let noMemory: Self = "no-memory"
}
