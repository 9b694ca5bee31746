internal import Images
internal import Linux
internal import Restore
internal import SystemPackage

extension PageStore {
    /// What has come of the memory of a process, or of shared memory: a file with a place for each chunk.
    struct Space {
        let number: UInt32
        let file: SharedDescriptor
        var chunks: [UInt64: Chunk] = [:]
        var end: UInt64 = 0

        /// Puts pages of one chunk where they belong.
        ///
        /// - Parameter early: the memory that they are to be put into; nil for the file.
        mutating func put(_ bytes: ArraySlice<UInt8>, at address: UInt64, into early: EarlyMemory?) throws(Errno) {
            let (index, within) = (address / chunkSize, address % chunkSize)
            let first = Int(within / Pagemap.pageSize)
            let pages = first..<first + bytes.count / Int(Pagemap.pageSize)
            var chunk = chunks[index] ?? Chunk()
            let result: Result<Void, Errno>
            if let early {
                result = unsafe bytes.withUnsafeBytes { slice in
                    Result { () throws(Errno) in try unsafe early.write(slice, at: address) }
                }
                chunk.inPlace.insert(pages)
                chunk.present.remove(pages)
            } else {
                let place = try place(of: &chunk)
                let file = file.descriptor.raw
                result = unsafe bytes.withUnsafeBytes { slice in
                    Result { () throws(Errno) in try unsafe Files.write(file, from: slice, at: place + within) }
                }
                chunk.present.insert(pages)
                chunk.inPlace.remove(pages)
            }
            chunk.late.remove(pages)
            chunks[index] = chunk
            try result.get()
        }

        /// Makes pages of one chunk zeros. Those that have not come before are zeros already, as the kernel gives them: they take no
        /// memory.
        ///
        /// - Parameter early: the memory that they belong into; nil for the file.
        mutating func clear(_ range: Range<UInt64>, in early: EarlyMemory?) throws(Errno) {
            let (index, within) = (range.lowerBound / chunkSize, range.lowerBound % chunkSize)
            let first = Int(within / Pagemap.pageSize)
            let pages = first..<first + Int((range.upperBound - range.lowerBound) / Pagemap.pageSize)
            var chunk = chunks[index] ?? Chunk()
            chunk.late.remove(pages)
            defer { chunks[index] = chunk }
            if let early {
                for run in chunk.inPlace.runs where run.overlaps(pages) {
                    let zeros = ArraySlice([UInt8](repeating: 0, count: run.clamped(to: pages).count * pageBytes))
                    let address = index * chunkSize + UInt64(max(run.lowerBound, first)) * Pagemap.pageSize
                    try unsafe zeros.withUnsafeBytes { slice in
                        Result { () throws(Errno) in try unsafe early.write(slice, at: address) }
                    }.get()
                }
                chunk.inPlace.insert(pages)
                chunk.present.remove(pages)
                return
            }
            let isNew = chunk.place == nil
            let place = try place(of: &chunk)
            // Also where nothing is said to be present: what is out of date stands there yet.
            if !isNew {
                let start = place + within
                try Files.punchHole(file.descriptor.raw, start..<start + (range.upperBound - range.lowerBound))
            }
            chunk.present.insert(pages)
            chunk.inPlace.remove(pages)
        }

        /// Where the pages of a chunk lie in the file, which has room for all of them: zeros are read, too, and never written.
        private mutating func place(of chunk: inout Chunk) throws(Errno) -> UInt64 {
            if let place = chunk.place { return place }
            try Files.truncate(file.descriptor.raw, to: end + chunkSize)
            defer { end += chunkSize }
            chunk.place = end
            return end
        }

        /// What is there of these pages is out of date: they follow when the tree runs.
        mutating func expectLate(_ range: Range<UInt64>) {
            for (index, pages) in Self.parts(of: range) {
                chunks[index, default: Chunk()].present.remove(pages)
                chunks[index, default: Chunk()].inPlace.remove(pages)
                chunks[index, default: Chunk()].late.insert(pages)
            }
        }

        /// What is there of these pages is out of date.
        ///
        /// - Returns: which of them were in their place already.
        mutating func forget(_ range: Range<UInt64>) -> [Range<UInt64>] {
            var placed: [Range<UInt64>] = []
            for (index, pages) in Self.parts(of: range) {
                guard var chunk = chunks[index] else { continue }
                for run in chunk.inPlace.runs where run.overlaps(pages) {
                    placed.append(PageStore.range(of: run.clamped(to: pages), inChunk: index))
                }
                chunk.present.remove(pages)
                chunk.inPlace.remove(pages)
                chunks[index] = chunk
            }
            return placed
        }

        /// Cuts a range at the bounds of chunks.
        private static func parts(of range: Range<UInt64>) -> [(index: UInt64, pages: Range<Int>)] {
            var parts: [(index: UInt64, pages: Range<Int>)] = []
            var start = range.lowerBound
            while start < range.upperBound {
                let (index, within) = (start / chunkSize, start % chunkSize)
                let end = min(range.upperBound, start - within + chunkSize)
                let first = Int(within / Pagemap.pageSize)
                parts.append((index, first..<first + Int((end - start) / Pagemap.pageSize)))
                start = end
            }
            return parts
        }
    }
}
