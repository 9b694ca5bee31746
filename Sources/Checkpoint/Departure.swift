public import Diagnostics
public import Images
internal import Linux
public import Memory
internal import Tracing

/// A tree that leaves for another host: its dumps send their pages there in place of writing them to files, and tell between
/// the dumps what has been written to meanwhile.
///
/// The first dump is a *rehearsal*: everything but the pages, of a tree that runs on after it, so that the other host can judge
/// whether it can take the tree, and so that Apus sees from then on what is written to. The *last* dump sends what
/// has been written to since it was last sent, and the tree is handed over.
public final class Departure {
    /// Which of the dumps it is.
    public enum Part: Sendable, Equatable { case rehearsal, last }

    /// Which dump comes next.
    public var part = Part.rehearsal
    /// When the tree came to a standstill for the last dump, in nanoseconds of the monotonic clock.
    public internal(set) var stoodStillSince: UInt64?
    /// Called before the tree is stopped for the last dump, when it has been looked at.
    public var beforeStandstill: () -> Void = {}
    /// What may follow when the tree runs there is not sent by the last dump.
    public var sendsLate = false
    /// How many processes have pages that follow.
    var lateProcesses = 0
    /// What threads touch at once, by the process that stores it.
    var touched: [Int32: [Range<UInt64>]] = [:]
    let carrier: any PageCarrier
    let tracking = WriteTracking()

    public init(_ carrier: any PageCarrier) { self.carrier = carrier }

    /// Sends what has been written to since the last time, while the tree runs.
    ///
    /// - Parameters:
    ///   - limit: where there are more bytes, nothing is sent, and the other host is told what of that which it has is out of date.
    ///   - told: before anything is sent, how many bytes there are.
    /// - Returns: how many bytes that was; nil where nothing was sent.
    /// - Throws: what the carrier throws.
    public func sendWritten(
        unlessMoreThan limit: UInt64 = .max, told: (UInt64) -> Void = { _ in }
    ) throws(Problem) -> UInt64? {
        let written = tracking.collect()
        let size = written.reduce(UInt64(0)) { $1.runs.reduce($0) { $0 + $1.size } }
        if size > limit {
            for (number, (owner, tracker, runs)) in written.filter({ !$0.runs.isEmpty }).enumerated() {
                let own = runs.map { $0.address..<$0.address + $0.size }
                // What lies between them counts as out of date as well, and must be able to follow.
                let isLocked = (try? ProcessDirectory(tracker.pid).status().lockedSize) ?? 1 > 0
                let outdated = isLocked || number >= Self.mostLateProcesses ? own : Self.joined(own)
                // At the end it must not count as sent.
                tracker.wasNotRead(outdated)
                try carrier.announce(outdated: outdated, of: .process(owner))
            }
            return nil
        }
        told(size)
        for (owner, tracker, runs) in written {
            if runs.isEmpty { continue }
            let pages = RunningPages(tracker.pid)
            do throws(Problem) {
                try carrier.carry(runs, of: .process(owner), from: pages)
                // It may have been unmapped: what is there at the end and has not been read must not count as sent.
                tracker.wasNotRead(pages.unread)
            } catch {
                // It has ended, in all likelihood.
                guard error.code == .memoryUnreachable else { throw error }
                tracker.lose()
            }
        }
        return size
    }

    /// Whether anything is watched: where not, all memory is sent while the tree stands still.
    public var isWatching: Bool { !tracking.isEmpty }

    /// Lets go of all processes.
    public func end() { tracking.end() }
}

@available(*, unavailable)
extension Departure: Sendable {}

/// Takes pages and images of a tree to another host.
public protocol PageCarrier: AnyObject {
    /// Takes pages.
    ///
    /// - Throws: what the source throws; and where the other host cannot be reached.
    func carry(_ runs: [StoredRun], of space: PageSpace, from source: some PageSource) throws(Problem)

    /// Says which pages follow when the tree runs there already. They stay where they are until then.
    ///
    /// - Throws: where the other host cannot be reached.
    func announce(late runs: [Range<UInt64>], of space: PageSpace) throws(Problem)

    /// Says which pages that were taken there are out of date. They are sent once more, or follow.
    ///
    /// - Throws: where the other host cannot be reached.
    func announce(outdated runs: [Range<UInt64>], of space: PageSpace) throws(Problem)

    /// Says what the pages are that a pages file of the images would hold.
    func record(_ file: CarriedFile)

    /// Takes the images of the last dump, which are complete.
    ///
    /// - Returns: when the other host has built the tree, and only waits for it to be handed over.
    /// - Throws: why it could not: the tree runs on here.
    func deliver(_ directory: ImageDirectory) throws

    /// Writes down that the tree is about to be handed over, before anything of it shows.
    ///
    /// - Throws: it runs on here.
    func prepareHandOver() throws(Problem)

    /// Hands the tree over. It stands still here, and goes on doing so whatever happens to Apus.
    func handOver() -> Fate

    /// What was settled has been carried out: the original has ended, or runs on.
    func conclude()
}

/// What has become of a tree that was handed over.
public enum Fate {
    /// It runs on the other host.
    case arrived
    /// The other host has taken it down again, or never had it: it is to run on here.
    case refused(any Error)
    /// Nobody knows: the original must neither run nor end.
    case unknown(Problem)
}

/// Whose pages they are.
public enum PageSpace: Hashable, Sendable {
    /// Private memory, by the process that stores it.
    case process(Int32)
    /// A shared memory object, by its number in the images.
    case shared(UInt64)
}

/// What a pages file of the images would hold.
public struct CarriedFile: Sendable, Equatable {
    /// A run of it.
    public struct Part: Sendable, Equatable {
        public let space: PageSpace
        /// In the space.
        public let address: UInt64
        /// In bytes.
        public let size: UInt64

        public init(space: PageSpace, address: UInt64, size: UInt64) {
            self.space = space
            self.address = address
            self.size = size
        }
    }

    /// 0 for the image directory, 1 for its parent, and so on.
    public let layer: Int
    public let id: UInt32
    /// What stands in it, one after another.
    public let parts: [Part]

    public init(layer: Int, id: UInt32, parts: [Part]) {
        self.layer = layer
        self.id = id
        self.parts = parts
    }
}
