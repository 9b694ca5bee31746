internal import Checkpoint
internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Memory
internal import SystemPackage
internal import Tracing

/// Brings the pages of a tree that runs already: those that somebody waits for at once, the others as they come.
///
/// One thread does all of it. What the program does to its memory meanwhile comes as events (``UserFaults``), and the kernel lets
/// nobody put a page before they have been read (EAGAIN): so no page comes to where its memory has been given up, moved or
/// unmapped since.
struct LateServer {
    /// The memory of a process, or of one that it has made since.
    private struct Memory {
        let faults: UserFaults
        let owner: PageSpace
        var late: LatePages
        /// Who waits where: the address of the page, and since when, in nanoseconds.
        var waiting: [UInt64: UInt64] = [:]
        var isOver = false
    }

    /// What it came to.
    struct Outcome: Sendable, Equatable {
        /// How often somebody has waited for a page that had yet to come, and for how long in the middle, in nanoseconds.
        var faults = 0
        var medianWait: UInt64 = 0
        /// How often somebody touched a page that never was.
        var zeros = 0

        var json: JSON {
            [
                "faults": .integer(Int64(faults)), "median_ns": .unsigned(medianWait), "zeros": .integer(Int64(zeros)),
            ]
        }
    }

    /// Why it ends: everything is there, or what had yet to come has nobody any more that it could be for.
    enum Ending: Sendable, Equatable { case complete, givenUp }

    /// A process has ended before all of its memory had come.
    private(set) var hasEndedEarly = false

    private var memories: [Memory]
    private var wire: Wire?
    private var pulse: Pulse?
    private let keeper: LateKeeper
    private let meeting: LateMeeting
    private let log: @Sendable (String) -> Void
    private var waits: [UInt64] = []
    private var outcome = Outcome()
    /// When something came over the connection the last time.
    private var heard = SystemClock.monotonic.now
    /// Whoever keeps a newly connected source from leaving: its end of the meeting.
    private var guest: SharedDescriptor?

    /// - Parameters:
    ///   - memories: what is to come of each.
    ///   - wire: the connection to the source.
    ///   - keeper: holds a copy of each descriptor.
    ///   - meeting: where the source comes to over a new connection.
    init(
        _ memories: [(faults: UserFaults, owner: PageSpace, runs: [Range<UInt64>])], _ wire: Wire, _ keeper: LateKeeper,
        _ meeting: LateMeeting, log: @escaping @Sendable (String) -> Void
    ) {
        self.memories = memories.map { Memory(faults: $0.faults, owner: $0.owner, late: LatePages($0.runs)) }
        // No signal ends it: the tree would end with it.
        wire.isDetermined = true
        self.wire = wire
        self.keeper = keeper
        self.meeting = meeting
        self.log = log
    }

    /// Serves until everything is there, or nobody is to wait for it any more.
    ///
    /// - Returns: the connection over which the last word is to be said, where there is one.
    mutating func run() -> (ending: Ending, outcome: Outcome, wire: Wire?) {
        while true {
            readEvents()
            retry()
            for index in memories.indices where !memories[index].isOver { finish(index) }
            // With the last copy of a descriptor the watch goes.
            memories.removeAll(where: \.isOver)
            if memories.isEmpty { break }
            if !keeper.isThere { keeper.renew(memories.map(\.faults)) }
            guard wait() else { return (.givenUp, outcome, wire) }
        }
        waits.sort()
        outcome.medianWait = waits.isEmpty ? 0 : waits[waits.count / 2]
        return (.complete, outcome, wire)
    }

    // MARK: Waiting

    /// Waits until something happens, and takes what has come but for events.
    ///
    /// - Returns: false where the source has given the tree up.
    private mutating func wait() -> Bool {
        var entries = memories.map { Files.PollEntry($0.faults.raw, .readable) }
        let faults = entries.count
        entries.append(.init(meeting.raw, .readable))
        let asked = wire
        if let asked { entries.append(.init(asked.inputNumber, .readable)) }
        let isBusy = memories.contains { memory in memory.waiting.keys.contains { memory.late.source(of: $0) == nil } }
        _ = try? Files.poll(&entries, timeout: isBusy ? 200_000 : 200_000_000)
        // Who waits for a page comes first.
        if entries[..<faults].contains(where: { !$0.returned.isEmpty }) {
            readEvents()
        }
        if !entries[faults].returned.isEmpty, !meet() { return false }
        // A visitor may have brought another one.
        if let asked, asked === wire, !entries[faults + 1].returned.isEmpty { return hear() }
        if wire != nil, SystemClock.monotonic.now > heard + Wire.patience {
            disconnect("it has been silent for too long")
        }
        return true
    }

    /// Takes one frame.
    private mutating func hear() -> Bool {
        guard let wire else { return true }
        do throws(Problem) {
            guard let frame = try wire.receive() else {
                disconnect("it has closed the connection")
                return true
            }
            heard = SystemClock.monotonic.now
            switch frame.kind {
            case .pages: try take(frame.body)
            case .alive: break
            case .goBack: return false
            default: throw BodyReader.malformed
            }
        } catch {
            disconnect(error.description)
        }
        return true
    }

    private mutating func disconnect(_ reason: String) {
        log("the connection to the source is gone while pages have yet to come (\(reason)); it may come back")
        pulse?.end()
        pulse = nil
        wire?.close()
        wire = nil
        guest = nil
    }

    /// Somebody has come to the meeting place.
    private mutating func meet() -> Bool {
        switch meeting.next() {
        case .nobody: return true
        case .givesUp: return false
        case .source(let connection, let visitor):
            if wire != nil { disconnect("it has another one") }
            connection.isDetermined = true
            wire = connection
            guest = visitor
            heard = SystemClock.monotonic.now
            pulse = Pulse(connection)
            do throws(Problem) {
                for memory in memories where !memory.isOver {
                    try connection.send(late: memory.late.outstanding, of: memory.owner, as: .outstanding)
                }
                try connection.send(.resumed)
                for memory in memories {
                    for address in memory.waiting.keys { try ask(memory.late.source(of: address), memory.owner) }
                }
            } catch {
                disconnect(error.description)
            }
            return true
        }
    }

    // MARK: Faults and other events

    private mutating func readEvents() {
        var index = 0
        while index < memories.count {
            readEvents(index)
            index += 1
        }
    }

    private mutating func readEvents(_ index: Int) {
        while !memories[index].isOver {
            guard let events = try? memories[index].faults.events() else { return }
            if events.isEmpty { return }
            for event in events { take(event, index) }
        }
    }

    private mutating func take(_ event: UserFaults.Event, _ index: Int) {
        switch event {
        case .fault(let address):
            let page = address & ~(LatePages.pageSize - 1)
            if memories[index].waiting[page] == nil { memories[index].waiting[page] = SystemClock.monotonic.now }
            guard let source = memories[index].late.source(of: page) else { return }
            do throws(Problem) { try ask(source, memories[index].owner) } catch { disconnect(error.description) }
        case .fork(let number):
            // The keeper first: the copy has pages of zeros once nobody holds its descriptor.
            let faults = UserFaults(owning: OwnedDescriptor(owning: number))
            keeper.hold(faults)
            memories.append(Memory(faults: faults, owner: memories[index].owner, late: memories[index].late))
        case .moved(let from, let to, let size):
            memories[index].late.move(from: from, to: to, size: size)
            try? memories[index].faults.wake(from..<from + size)
            forget(from..<from + size, index)
        case .dropped(let range):
            // Who waits there gets zeros (`retry`).
            memories[index].late.drop(range)
        case .unmapped(let range):
            memories[index].late.unmap(range)
            try? memories[index].faults.wake(range)
            forget(range, index)
        }
    }

    private mutating func forget(_ range: Range<UInt64>, _ index: Int) {
        for address in memories[index].waiting.keys where range.contains(address) {
            memories[index].waiting[address] = nil
        }
    }

    /// Asks the source for a page before all others.
    private func ask(_ source: UInt64?, _ owner: PageSpace) throws(Problem) {
        guard let source, let wire else { return }
        var body: [UInt8] = []
        owner.append(to: &body)
        body.append(littleEndian: source)
        try wire.send(.wanted, body)
    }

    /// Gives zeros to those who wait for pages that never were, or are no more.
    private mutating func retry() {
        for index in memories.indices where !memories[index].isOver {
            for address in memories[index].waiting.keys where memories[index].late.source(of: address) == nil {
                do throws(Errno) {
                    try memories[index].faults.putZeros(at: address, size: LatePages.pageSize)
                    outcome.zeros += 1
                } catch .resourceTemporarilyUnavailable {
                    // An event is under way: it is read first.
                    continue
                } catch .noSuchProcess {
                    hasGone(index)
                    break
                } catch {
                    // A page is there, or nothing is mapped there any more: whoever waits finds out by looking again.
                    try? memories[index].faults.wake(address..<address + LatePages.pageSize)
                }
                memories[index].waiting[address] = nil
            }
        }
    }

    // MARK: Pages

    /// Takes pages that have come, in the form of `pages`, and puts them wherever they are wanted.
    private mutating func take(_ body: [UInt8]) throws(Problem) {
        let pages = try PageFrame(body, isSparse: false)
        var position = pages.start
        for piece in pages.pieces {
            let bytes = position..<position + Int(piece.size)
            // A fork that comes to light meanwhile has one more, to which the page has yet to come as well.
            var index = 0
            while index < memories.count {
                if memories[index].owner == pages.space { put(body[bytes], piece.address, index) }
                index += 1
            }
            position = bytes.upperBound
        }
    }

    /// - Parameter start: where the first of the pages was at the source.
    private mutating func put(_ bytes: ArraySlice<UInt8>, _ start: UInt64, _ index: Int) {
        let range = start..<start + UInt64(bytes.count)
        var (isByPage, isShort) = (false, false)
        while !memories[index].isOver, let (source, current) = memories[index].late.wanted(range).first {
            let size = isByPage ? LatePages.pageSize : source.upperBound - source.lowerBound
            let first = bytes.startIndex + Int(source.lowerBound - start)
            let faults = memories[index].faults
            let (done, error) = unsafe bytes[first..<first + Int(size)].withUnsafeBytes {
                unsafe faults.put($0, at: current)
            }
            arrived(source.lowerBound..<source.lowerBound + done, at: current, index)
            switch error {
            case nil: isByPage = false
            case .resourceTemporarilyUnavailable:
                // Something is happening to the memory: it is read first, and only then the page is put where it belongs then.
                readEvents(index)
                if done == 0 { usleep(10) }
            case .noSuchProcess: hasGone(index)
            case .noSuchFileOrDirectory where !isByPage && size > LatePages.pageSize:
                // More than one mapping by now.
                isByPage = true
            case .fileExists:
                arrived(source.lowerBound..<source.lowerBound + LatePages.pageSize, at: current, index)
                try? faults.wake(current..<current + LatePages.pageSize)
            case .noSuchFileOrDirectory:
                // Nothing is mapped there any more, or something else.
                memories[index].late.settle(source.lowerBound..<source.lowerBound + LatePages.pageSize)
                isByPage = false
            default:
                // There is no memory for it: who waits for it goes on waiting until there is.
                if !isShort { log("pages cannot be put in their place yet (\(error?.description ?? ""))") }
                isShort = true
                usleep(10_000)
            }
        }
    }

    private mutating func arrived(_ source: Range<UInt64>, at current: UInt64, _ index: Int) {
        if source.isEmpty { return }
        memories[index].late.settle(source)
        if memories[index].waiting.isEmpty { return }
        let now = SystemClock.monotonic.now
        let range = current..<current + (source.upperBound - source.lowerBound)
        for (address, since) in memories[index].waiting where range.contains(address) {
            waits.append(now - since)
            outcome.faults += 1
            memories[index].waiting[address] = nil
        }
    }

    // MARK: Ends

    /// Lets go of a memory that has everything.
    private mutating func finish(_ index: Int) {
        guard memories[index].late.isEmpty, memories[index].waiting.isEmpty else { return }
        end(index)
    }

    /// A process has ended, or has begun another program, before everything was there.
    private mutating func hasGone(_ index: Int) {
        hasEndedEarly = true
        end(index)
    }

    /// A memory has everything, or has gone. What of its descriptor this process and the keeper have is closed: that takes the
    /// watch away.
    private mutating func end(_ index: Int) {
        keeper.letGo(memories[index].faults)
        memories[index].isOver = true
        memories[index].waiting = [:]
        memories[index].late = LatePages([])
    }
}
