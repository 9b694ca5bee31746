public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A descriptor to read signals from: signalfd(2). The signals themselves wait with the process.
public enum Signalfd: DescriptionKind {
    public static let name = "signalfd"

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.linkBegins(with: "anon_inode:[signalfd]") }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? { nil }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let mask: UInt64 = seen.number("sigmask", radix: 16) else {
            throw descriptions.missing("sigmask", of: seen)
        }
        var entry = SignalfdEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.fown = try descriptions.owner(of: seen)
        entry.sigmask = mask
        return descriptions.record(.signalfd, entry.id) { $0.sgfd = entry }
    }
}
