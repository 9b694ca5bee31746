public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A device whose driver keeps a state for who has it open, which nobody can read: carried only where the restore's
/// caller gives another in its place: a descriptor (`--external file[MOUNT:INODE]`, `--inherit-fd`), or the path of a device, by a
/// name of the user's choice (`--external dev[MAJOR/MINOR]:VALUE` at the dump, `dev[VALUE]:PATH` at the restore, as CRIU writes it for
/// mounts).
public enum Device: DescriptionKind {
    public static let name = "device"

    public static func recognises(_ seen: SeenDescriptor) -> Bool {
        seen.hasPath && (seen.status.kind == .characterDevice || seen.status.kind == .blockDevice)
    }

    public static func label(of seen: SeenDescriptor) -> String { RefusedKind.name(of: seen) }

    public static func externalKey(of seen: SeenDescriptor) -> String? { RegularFile.externalKey(of: seen) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        if externalName(seen, circumstances) != nil { return nil }
        var problem = RefusedKind.problem(of: seen)
        problem.remedy = remedy(for: seen, problem.remedy)
        return problem
    }

    /// What helps, and the ways out that there are for every device.
    static func remedy(for seen: SeenDescriptor, _ remedy: String) -> String {
        let given = externalKey(of: seen).map { ". " + LeftOutside.remedy(dump: $0) } ?? ""
        return remedy + given
            + ". Or name a device that is opened in its place: dump with --external '\(beginning(of: seen))VALUE', restore with"
            + " --external 'dev[VALUE]:PATH'"
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let value = named(seen, descriptions.circumstances) else {
            return try RegularFile.capture(seen, into: descriptions)
        }
        var file = RegularFile.entry(seen, id: descriptions.nextID())
        (file.pos, file.ext, file.path) = (seen.info.position, true, FilePath(value))
        let own = try descriptions.open(seen)
        file.fown = try descriptions.owner(of: seen, through: own.raw)
        RegularFile.add(file, to: descriptions)
        return DescriptionKey(.reg, file.id)
    }

    // MARK: Keys

    /// What the restore knows it by, where the dump leaves it outside.
    static func externalName(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> String? {
        RegularFile.externalName(seen, circumstances) ?? named(seen, circumstances)
    }

    /// `dev[VALUE]`, where the user has named a device so.
    private static func named(_ seen: SeenDescriptor, _ circumstances: Circumstances) -> String? {
        let beginning = beginning(of: seen)
        return circumstances.external.first { $0.hasPrefix(beginning) }.map { "dev[\($0.dropFirst(beginning.count))]" }
    }

    /// How a key begins that gives a device a name.
    public static func beginning(of seen: SeenDescriptor) -> String {
        "dev[\(seen.status.representedDevice.major)/\(seen.status.representedDevice.minor)]:"
    }
}
