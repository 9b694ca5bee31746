internal import Diagnostics
internal import Glibc
internal import Linux
internal import Memory
internal import Objects
internal import SystemPackage
internal import Tracing

/// Asynchronous I/O that goes on while its process stands still.
///
/// Of what is under way the kernel shows nothing but its end: an event more in the ring. Requests to disks end by
/// themselves, so the tree is left standing until no ring has moved for a moment and the disks have nothing under way;
/// and before the dump counts, no ring may have moved since.
struct RingWatch {
    private let rings: [(area: MappedArea, memory: ProcessMemory, object: Problem.Object)]
    private var last: [AsyncRing] = []

    /// In nanoseconds: how long no ring may move; how long disks that do not come to rest are waited for, which may be
    /// busy for others; how long at the most.
    private static let (quiet, patience, limit): (UInt64, UInt64, UInt64) = (10_000_000, 300_000_000, 2_000_000_000)
    /// In microseconds.
    private static let pause: UInt32 = 1_000

    /// - Parameter processes: which stand still.
    init(_ processes: [SurveyedProcess]) throws(Problem) {
        var rings: [(area: MappedArea, memory: ProcessMemory, object: Problem.Object)] = []
        for process in processes {
            let areas = process.areas.filter { $0.kind == .asyncIO }
            if areas.isEmpty { continue }
            let memory = try ProcessMemory(pid: process.eye)
            rings += areas.map { ($0.area, memory, process.object) }
        }
        self.rings = rings
    }

    private func now() throws(Problem) -> [AsyncRing] {
        var found: [AsyncRing] = []
        for ring in rings { found.append(try AsyncRing.read(ring.area, ring.memory, ring.object)) }
        return found
    }

    /// Waits until nothing moves any more.
    mutating func settle(_ deadline: Deadline) throws(Problem) {
        if rings.isEmpty { return }
        let began = SystemClock.monotonic.now
        var moved = began
        last = try now()
        while true {
            usleep(Self.pause)
            let (current, time) = (try now(), SystemClock.monotonic.now)
            if current != last { (last, moved) = (current, time) }
            let isQuiet = time - moved >= Self.quiet
            let isPatient = time - began < Self.patience && Self.disksAreBusy()
            if isQuiet && !isPatient || time - began >= Self.limit || deadline.isPast { return }
        }
    }

    /// - Throws: where a request has ended since.
    func confirm() throws(Problem) {
        guard let index = zip(last, try now()).map({ $0 != $1 }).firstIndex(of: true) else { return }
        var object = rings[index].object
        object.address = rings[index].area.range.lowerBound
        throw Problem(
            .underWay, "a request of asynchronous I/O (io_submit) ended while its memory was being written",
            object: object, remedy: "Try again, at a moment when fewer are under way")
    }

    /// Whether a disk has requests under way (the ninth number behind the name in `/proc/diskstats`: "Documentation/
    /// admin-guide/iostats.rst" of the kernel).
    private static func disksAreBusy() -> Bool {
        guard let text = try? Files.contents(of: "/proc/diskstats") else { return false }
        let place = 11
        return text.split(separator: UInt8(ascii: "\n")).contains { line in
            let words = line.split(separator: UInt8(ascii: " "))
            return words.count > place && !words[place].elementsEqual("0".utf8)
        }
    }
}
