public import Diagnostics
internal import Linux
internal import SystemPackage

/// A device whose driver keeps a state for who has it open, which nobody can read: carried only where the restore's
/// caller gives another in its place (`--external file[MOUNT:INODE]`, `--inherit-fd`).
public enum Device: DescriptionKind {
    public static let name = "device"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.hasPath && (seen.status.kind == .characterDevice || seen.status.kind == .blockDevice)
    }

    public static func label(of seen: SeenDescriptor) -> String { RefusedKind.name(of: seen) }

    public static func externalKey(of seen: SeenDescriptor) -> String? { RegularFile.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if RegularFile.externalName(seen, circumstances) != nil { return nil }
        var problem = RefusedKind.problem(of: seen)
        if let key = externalKey(of: seen) { problem.remedy += ". " + LeftOutside.remedy(dump: key) }
        return problem
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        try RegularFile.capture(seen, into: descriptions)
    }
}
