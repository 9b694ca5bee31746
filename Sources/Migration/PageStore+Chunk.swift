internal import Images

extension PageStore {
    /// 2 MiB of a space of which any page has come.
    struct Chunk {
        /// In the file; nil where none of its pages is there.
        var place: UInt64?
        /// Which pages are in the file, and which in the early root. None is in both.
        var (present, inPlace) = (PageSet(), PageSet())
        /// Which pages follow when the tree runs.
        var late = PageSet()
    }

    /// Pages of a chunk.
    struct PageSet {
        /// 512 bits: a chunk has as many pages.
        private var words = InlineArray<8, UInt64>(repeating: 0)

        func contains(_ page: Int) -> Bool { words[page / 64] & 1 << UInt64(page % 64) != 0 }

        mutating func insert(_ pages: Range<Int>) {
            for part in Self.parts(of: pages) { words[part.word] |= part.mask }
        }

        mutating func remove(_ pages: Range<Int>) {
            for part in Self.parts(of: pages) { words[part.word] &= ~part.mask }
        }

        /// The words that pages are in, and their bits there.
        private static func parts(of pages: Range<Int>) -> some Sequence<(word: Int, mask: UInt64)> {
            let words = pages.isEmpty ? 0..<0 : pages.lowerBound / 64..<(pages.upperBound + 63) / 64
            return words.lazy.map { word in
                let own = pages.clamped(to: word * 64..<word * 64 + 64)
                return (word, (own.count == 64 ? .max : 1 << UInt64(own.count) - 1) << UInt64(own.lowerBound % 64))
            }
        }

        /// The pages from one on that are like it in being there or not, up to a limit.
        func run(from page: Int, to limit: Int) -> Range<Int> {
            let flip: UInt64 = contains(page) ? .max : 0
            var (word, end) = (page / 64, page)
            var others = (words[word] ^ flip) >> UInt64(page % 64)
            if others != 0 { return page..<min(limit, page + others.trailingZeroBitCount) }
            end = word * 64 + 64
            while end < limit {
                word += 1
                others = words[word] ^ flip
                if others != 0 { return page..<min(limit, end + others.trailingZeroBitCount) }
                end += 64
            }
            return page..<limit
        }

        private var isEmpty: Bool { words.indices.allSatisfy { words[$0] == 0 } }

        /// The runs of pages that are there.
        var runs: [Range<Int>] {
            if isEmpty { return [] }
            var (runs, page) = ([Range<Int>](), 0)
            while page < PageStore.pagesOfChunk {
                let next = run(from: page, to: PageStore.pagesOfChunk)
                if contains(page) { runs.append(next) }
                page = next.upperBound
            }
            return runs
        }
    }
}
