public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A counter of events: eventfd(2).
public enum Eventfd: DescriptionKind {
    public static let name = "eventfd"

    private static let counter = "eventfd-count"
    /// Shown since Linux 6.6: before, nothing tells whether a read takes 1 or all.
    private static let semaphore = "eventfd-semaphore"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: "anon_inode:[eventfd]") }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        // What no write(2) can reach; only the kernel itself counts so far.
        guard (seen.number(counter, radix: 16) as UInt64?) == .max else { return nil }
        return Problem(
            .unsupported, "the counter of the eventfd has overflowed", object: seen.object,
            remedy: "Let the program read it before the dump")
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let count: UInt64 = seen.number(counter, radix: 16) else {
            throw descriptions.missing(counter, of: seen)
        }
        var entry = EventfdFileEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen)
        entry.counter = count
        switch seen.number(semaphore) as Int? {
        case nil:
            descriptions.losses.append(
                "process \(seen.pid), descriptor \(seen.number): this kernel does not show whether an eventfd counts as"
                    + " a semaphore (EFD_SEMAPHORE); it is restored as one that does not")
        case 0: break
        case .some: descriptions.supplement[.eventfd, entry.id] = ["semaphore": true]
        }
        return descriptions.record(.eventfd, entry.id) { $0.efd = entry }
    }
}
