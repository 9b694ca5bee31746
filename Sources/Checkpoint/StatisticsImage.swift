internal import Diagnostics
internal import Images

/// What a dump cost, as the file `stats-dump` holds it.
enum StatisticsImage {
    static func entry(_ statistics: Statistics) -> DumpStatsEntry {
        let dump = statistics.dump ?? Statistics.Dump()
        var entry = DumpStatsEntry()
        entry.freezingTime = dump.freezingTime
        entry.frozenTime = dump.frozenTime
        entry.memdumpTime = dump.memdumpTime
        entry.memwriteTime = dump.memwriteTime
        entry.pagesScanned = dump.pagesScanned
        entry.pagesSkippedParent = dump.pagesSkippedParent
        entry.pagesWritten = dump.pagesWritten
        entry.irmapResolve = 0
        entry.pagesLazy = dump.pagesLazy
        entry.pagePipes = 0
        entry.pagePipeBufs = 0
        entry.shpagesScanned = 0
        entry.shpagesSkippedParent = 0
        entry.shpagesWritten = 0
        return entry
    }
}
