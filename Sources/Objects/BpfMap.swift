public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage

/// A map of BPF that processes of the tree alone have: a table in the kernel (bpf(2)).
///
/// Hash tables and arrays are carried with what is in them. One that a program in the kernel uses is that program's as much as theirs,
/// and goes on changing while the tree stands still; one that another process has open leads out of the tree.
public enum BpfMap: DescriptionKind {
    public static let name = "BPF map"

    private static let link = Array("anon_inode:bpf-map".utf8)
    /// BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY.
    static let types: Set<UInt32> = [1, 2]
    /// BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG, BPF_F_MMAPABLE.
    static let flags: UInt32 = 0x1 | 0x80 | 0x100 | 0x400
    /// The most that is kept of one.
    static let mostBytes: UInt64 = 256 << 20

    public static func recognises(_ seen: SeenDescriptor) -> Bool { seen.link.elementsEqual(link) }

    public static func obstacle(to seen: SeenDescriptor, _ circumstances: Circumstances) -> Problem? {
        let remedy = "Detach and close it before the dump, and load it anew afterwards"
        func refused(_ what: String) -> Problem {
            Problem(.unsupported, "a BPF map \(what) cannot be carried", object: seen.object, remedy: remedy)
        }
        guard let id: UInt32 = seen.number("map_id"), let type: UInt32 = seen.number("map_type") else {
            return refused("of which the kernel does not show the id")
        }
        guard types.contains(type) else {
            return refused(
                "of type \(type), which is neither a hash table nor an array (BPF_MAP_TYPE_* of linux/bpf.h),")
        }
        do throws(Errno) {
            let map = try BpfMaps.open(id)
            let shape = try BpfMaps.look(at: map.raw).shape
            if shape.flags & ~flags != 0 { return refused("with flags 0x\(String(shape.flags, radix: 16))") }
            let (size, overflow) = UInt64(shape.capacity).multipliedReportingOverflow(
                by: UInt64(shape.keySize) + UInt64(shape.valueSize))
            if overflow || size > mostBytes { return refused("with room for more than \(mostBytes >> 20) MiB") }
            if let program = try BpfMaps.program(using: id) {
                return refused("that program \(program) in the kernel uses (bpftool prog show id \(program))")
            }
        } catch {
            return Problem(
                .objectUnreadable, "a BPF map cannot be looked at", object: seen.object,
                cause: .init(error, attempted: "bpf(BPF_MAP_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD)"),
                remedy: "Run Apus as root. Or: " + remedy)
        }
        guard let outsider = holder(of: id, outside: circumstances.pids) else { return nil }
        return Problem(
            .leadsOutside, "process \(outsider) outside of the tree has the BPF map open, too", object: seen.object,
            remedy: "Dump the processes that share it together, by a parent of all")
    }

    /// Another process that has a map open; Apus itself does not count.
    private static func holder(of id: UInt32, outside pids: Set<Int32>) -> Int32? {
        let own = Processes.current
        return ((try? Procfs.live.processes()) ?? []).first { pid in
            if pid == own || pids.contains(pid) { return false }
            let directory = ProcessDirectory(pid)
            // What has ended meanwhile, or does not let itself be looked at, holds nothing that could be told.
            return ((try? directory.descriptors()) ?? []).contains { number in
                guard (try? directory.descriptorLink(number)) == link,
                    let other = try? SeenDescriptor(number, of: pid, process: "")
                else { return false }
                return other.number("map_id") == id
            }
        }
    }

    public static func capture(_ seen: SeenDescriptor, into descriptions: Descriptions) throws(Problem)
        -> DescriptionKey
    {
        guard let id: UInt32 = seen.number("map_id") else { throw descriptions.missing("map_id", of: seen) }
        var entry = BpfmapFileEntry()
        entry.id = descriptions.nextID()
        entry.flags = seen.descriptionFlags
        entry.pos = seen.info.position
        entry.fown = try descriptions.owner(of: seen)
        do throws(Errno) {
            let map = try BpfMaps.open(id)
            let shape = try BpfMaps.look(at: map.raw).shape
            (entry.mapID, entry.mapType, entry.maxEntries) = (id, shape.type, shape.capacity)
            (entry.keySize, entry.valueSize, entry.mapFlags) = (shape.keySize, shape.valueSize, shape.flags)
            entry.mapName = String(decoding: shape.name, as: UTF8.self)
            entry.memlock = seen.number("memlock") ?? 0
            entry.frozen = seen.number("frozen") ?? 0 as Int != 0
            entry.mntID = seen.info.mountID ?? 0
            (entry.ifindex, entry.mapExtra) = (0, 0)
            if !descriptions.bpfMaps.contains(where: { $0.entry.mapID == id }) {
                let (keys, values) = try BpfMaps.content(of: map.raw, shape)
                var data = BpfmapDataEntry()
                data.mapID = id
                (data.keysBytes, data.valuesBytes) = (UInt32(keys.count), UInt32(values.count))
                data.count = shape.keySize > 0 ? UInt32(keys.count) / shape.keySize : 0
                descriptions.bpfMaps.append((data, keys + values))
                if shape.hasTypes {
                    descriptions.note(
                        loss:
                            "process \(seen.pid), descriptor \(seen.number): what is known of the types in the BPF map (BTF) is"
                            + " not carried")
                }
            }
        } catch {
            throw descriptions.unreadable(seen, error, "bpf(BPF_MAP_LOOKUP_ELEM)")
        }
        return descriptions.record(.bpfmap, entry.id) { $0.bpf = entry }
    }
}
