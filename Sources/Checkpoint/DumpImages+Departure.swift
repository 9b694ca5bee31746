internal import Diagnostics
internal import Images
internal import Linux
internal import Memory

/// Pages that go to another host in place of the images.
extension DumpImages {
    /// Sends what has not been sent since it was last written to. Of a rehearsal nothing is sent.
    ///
    /// The pages of the kernel's own code (vdso), and those of its rings, are written into the images all the same: whether they
    /// fit the other kernel is asked before anything has been sent.
    mutating func carry(_ pages: TreePages, by departure: Departure, _ progress: Progress) throws(Problem) {
        let kernels = pages.processes.map { process in
            process.areas.filter { $0.kind == .vdso || $0.kind == .asyncIO }.map { $0.area.range }
        }
        var small: [TreePages.Job] = []
        for job in pages.jobs {
            guard case .process(let index) = job.source else { continue }
            var own = job
            own.runs = job.runs.flatMap { $0.cut(by: kernels[index]).inside }
            if !own.runs.isEmpty { small.append(own) }
        }
        try move(small, from: pages.sources, digesting: false, progress)
        guard departure.part == .last else { return }
        for job in pages.jobs {
            let parts = job.parts(pages)
            departure.carrier.record(CarriedFile(layer: job.layer, id: job.file, parts: parts))
            switch job.source {
            case .process(let index):
                let process = pages.processes[index]
                // Of a memory of several processes it is not sure which of them brings it back.
                let areas = memorySharers[process.pid] == nil && process.isWide ? process.areas : []
                try departure.send(parts, of: process.pid, from: pages.sources[index], lateIn: areas)
            case .group(let pieces):
                for index in Set(pieces.map(\.owner)).sorted() {
                    let owner = pages.processes[index].pid
                    let own = parts.filter { $0.space == .process(owner) }
                    try departure.send(own, of: owner, from: pages.sources[index], lateIn: [])
                }
            }
        }
    }

    /// The same for shared memory, which is sent as a whole while the tree stands still.
    mutating func carryShared(by departure: Departure) throws(Problem) {
        for object in sharedObjects {
            let source = try SharedPages(object.place, size: object.size)
            let (runs, pagesID) = (try source.runs(), takePagesID())
            try directory.makePagesFile(pagesID, size: runs.storedSize)
            try writeMap(.shmemPagemap, id: UInt64(object.id), pagesID, runs, in: directory)
            guard departure.part == .last else { continue }
            let space = PageSpace.shared(UInt64(object.id))
            let parts = runs.map { CarriedFile.Part(space: space, address: $0.address, size: $0.size) }
            departure.carrier.record(CarriedFile(layer: 0, id: pagesID, parts: parts))
            try departure.carrier.carry(runs, of: space, from: source)
        }
    }
}

extension Departure {
    /// Sends what of the parts of a process has been written to since it was last sent.
    ///
    /// - Parameter areas: mappings of which pages may follow later.
    fileprivate func send(
        _ parts: [CarriedFile.Part], of owner: Int32, from source: ProcessPages,
        lateIn areas: [(area: MappedArea, kind: AreaKind)]
    ) throws(Problem) {
        let unwritten = tracking.unwritten(of: owner)
        var (left, next): ([Range<UInt64>], Int) = ([], 0)
        for part in parts {
            let range = part.address..<part.address + part.size
            while next < unwritten.count, unwritten[next].upperBound <= range.lowerBound { next += 1 }
            let near = unwritten[next...].prefix { $0.lowerBound < range.upperBound }
            left += range.without(near)
        }
        let ranges = parts.map { $0.address..<$0.address + $0.size }
        let (now, late) = areas.isEmpty ? (left, []) : divide(left, of: owner, parts: ranges, areas)
        let runs = now.map {
            StoredRun(address: $0.lowerBound, size: $0.upperBound - $0.lowerBound, flags: .isPresent)
        }
        if !late.isEmpty { try carrier.announce(late: late, of: .process(owner)) }
        if !runs.isEmpty { try carrier.carry(runs, of: .process(owner), from: source) }
    }
}

extension SurveyedProcess {
    /// It is no 32-bit program: those have no memory above 4 GiB.
    fileprivate var isWide: Bool { areas.contains { $0.area.range.upperBound > 1 << 32 && $0.kind != .vsyscall } }
}

extension TreePages.Job {
    /// What its file holds, in the order of the file.
    fileprivate func parts(_ pages: TreePages) -> [CarriedFile.Part] {
        switch source {
        case .process(let index):
            let space = PageSpace.process(pages.processes[index].pid)
            return runs.filter { $0.run.flags.contains(.isPresent) }.map {
                .init(space: space, address: $0.run.address, size: $0.run.size)
            }
        case .group(let pieces):
            return pieces.map {
                .init(space: .process(pages.processes[$0.owner].pid), address: $0.address, size: $0.end - $0.address)
            }
        }
    }
}
