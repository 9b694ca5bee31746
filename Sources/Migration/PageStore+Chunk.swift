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
        private var words = [UInt64](repeating: 0, count: PageStore.pagesOfChunk / 64)

        func contains(_ page: Int) -> Bool { words[page / 64] & 1 << UInt64(page % 64) != 0 }

        mutating func insert(_ pages: Range<Int>) {
            for page in pages { words[page / 64] |= 1 << UInt64(page % 64) }
        }

        mutating func remove(_ pages: Range<Int>) {
            for page in pages { words[page / 64] &= ~(1 << UInt64(page % 64)) }
        }

        /// The pages from one on that are like it in being there or not, up to a limit.
        func run(from page: Int, to limit: Int) -> Range<Int> {
            let kind = contains(page)
            var end = page + 1
            while end < limit, contains(end) == kind { end += 1 }
            return page..<end
        }

        /// The runs of pages that are there.
        var runs: [Range<Int>] {
            if words.allSatisfy({ $0 == 0 }) { return [] }
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
