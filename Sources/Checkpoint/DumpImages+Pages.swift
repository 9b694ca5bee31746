internal import Diagnostics
internal import Images
internal import Linux
internal import Memory
internal import SystemPackage
internal import Tracing

extension DumpImages {
    /// Writes the page maps of all processes and makes the files for their pages, which are yet to be moved.
    mutating func layOutPages(of processes: [SurveyedProcess]) throws(Problem) -> TreePages {
        let sharers = Set(memorySharers.values.joined())
        var tree = try TreePages(processes.filter { !sharers.contains($0.pid) }, seen: looks, counters)
        for (index, surveyed) in tree.processes.enumerated() {
            let (runs, id) = (tree.runs[index], takePagesID())
            try directory.makePagesFile(id, size: runs.storedSize)
            try writeMap(of: surveyed, id, runs, in: directory)
            counters.written += runs.storedSize / Pagemap.pageSize
            tree.add(
                .init(
                    directory: directory, layer: 0, file: id, fileSize: runs.storedSize, runs: runs.placed(),
                    source: .process(index),
                    purpose: "writing memory of \(surveyed.pid)"))
        }
        guard let sharing = tree.sharing else { return tree }
        var place = directory
        for (above, level) in sharing.levels.indices.reversed().enumerated() {
            place = try place.makeShared()
            try layOut(level, of: sharing, &tree, in: place, layer: above + 1)
        }
        return tree
    }

    /// Writes one of the directories with shared pages.
    private func layOut(
        _ level: Int, of sharing: SharingLayers, _ tree: inout TreePages, in place: ImageDirectory, layer: Int
    ) throws(Problem) {
        var files: [Int: (id: UInt32, group: SharingLayers.Group)] = [:]
        for (number, group) in sharing.levels[level].enumerated() {
            let id = UInt32(number + 1)
            for member in group.members { files[member] = (id, group) }
            let runs = group.pieces.map(\.run)
            try place.makePagesFile(id, size: runs.storedSize)
            counters.written += runs.storedSize / Pagemap.pageSize
            tree.add(
                .init(
                    directory: place, layer: layer, file: id, fileSize: runs.storedSize, runs: runs.placed(),
                    source: .group(group.pieces),
                    purpose: "writing memory that processes share"))
        }
        let unused = UInt32(sharing.levels[level].count + 1)
        var usesNone = false
        for (member, process) in tree.processes.enumerated() {
            let farther = sharing.references[member].filter { $0.level < level }
            let file = files[member]
            if file == nil && farther.isEmpty { continue }
            if file == nil { usesNone = true }
            let runs = (file?.group.pieces.map(\.run) ?? []) + farther.map(\.run)
            try writeMap(of: process, file?.id ?? unused, runs.sorted { $0.address < $1.address }, in: place)
        }
        // A reader opens the pages file even where no run is in it.
        if usesNone { try place.makePagesFile(unused, size: 0) }
    }

    /// Writes the page map of a process. Processes with the same memory have the same, which names the same pages file.
    private func writeMap(
        of process: SurveyedProcess, _ pagesID: UInt32, _ runs: [StoredRun], in place: ImageDirectory
    ) throws(Problem) {
        for pid in [process.pid] + (memorySharers[process.pid] ?? []) {
            try writeMap(id: UInt64(pid), pagesID, runs, in: place)
        }
    }

    /// Writes a page map.
    func writeMap(
        _ kind: ImageKind<PagemapEntry> = .pagemap, id: UInt64, _ pagesID: UInt32, _ runs: [StoredRun],
        in place: ImageDirectory
    ) throws(Problem) {
        var map = try PagemapWriter(kind, id: id, pagesID: pagesID, in: place)
        for run in runs {
            try map.add(address: run.address, pages: run.size / Pagemap.pageSize, flags: run.flags)
        }
        try map.finish()
    }

    /// Moves pages.
    ///
    /// - Parameters:
    ///   - sources: by the index of the process.
    ///   - digesting: make the digests of the files meanwhile: not for what a tree stands still for that is to run on.
    mutating func move(
        _ jobs: [TreePages.Job], from sources: [ProcessPages], digesting: Bool, _ progress: Progress
    ) throws(Problem) {
        for job in jobs {
            let file = try PagesDescriptor(opening: job.file, in: job.directory, durable: isDurable)
            let digest = digesting ? newDigest(of: job.file, size: job.fileSize, in: job.directory) : nil
            let told = { (done: UInt64, total: UInt64) in
                progress.update(job.purpose, done: done, of: total, unit: .bytes)
            }
            switch job.source {
            case .process(let index):
                try PageTransfer.move(job.runs, from: sources[index], to: file, and: digest, told: told)
            case .group(let pieces):
                try PageTransfer.move(
                    job.runs, from: GroupPages(pieces, sources), to: file, and: digest, told: told)
            }
            if let known = digest?.finish(size: job.fileSize) {
                digests[ImageDirectory.nameOfPages(job.file, layer: job.layer)] = known
            }
        }
    }

    /// What makes the digest of a pages file while it is written; nil for a small one, which the commit reads anyway.
    func newDigest(of id: UInt32, size: UInt64, in place: ImageDirectory) -> PagesDigest? {
        size > ImageDirectory.smallFile ? PagesDigest(of: id, in: place) : nil
    }
}

extension SharingLayers.Piece {
    /// As a page map has it.
    var run: StoredRun { StoredRun(address: address, size: end - address, flags: .isPresent) }
}

extension SharingLayers.Reference {
    var run: StoredRun { StoredRun(address: address, size: end - address, flags: .inParent) }
}
