public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A counter of events with its count.
public struct EventCounter: Resource {
    let entry: EventfdFileEntry
    let isSemaphore: Bool

    public init(_ entry: EventfdFileEntry, _ supplement: Supplement) {
        self.entry = entry
        isSemaphore = supplement[.eventfd, entry.id]?["semaphore"]?.isTrue ?? false
    }

    public var extraDescriptors: Int { 0 }
    public var description: String { "eventfd at \(entry.counter)" + (isSemaphore ? ", a semaphore" : "") }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            let descriptor = try Files.eventCounter(isSemaphore: isSemaphore)
            // Written, as eventfd2(2) takes 32 bits only.
            if entry.counter > 0 {
                let bytes = (0..<8).map { UInt8(truncatingIfNeeded: entry.counter >> (8 * UInt64($0))) }
                try Files.write(descriptor.raw, bytes)
            }
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "an eventfd cannot be made", cause: .init(error, attempted: "eventfd2 and write"),
                remedy: "See that there is enough memory")
        }
    }
}
