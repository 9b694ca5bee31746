public import Diagnostics
public import Images
public import Linux
internal import SystemPackage

/// A description of a BPF map. The map itself is made by the first that asks, with what was in it.
public struct BpfTable: Resource {
    private let entry: BpfmapFileEntry
    private let shape: BpfMaps.Shape
    private let keys, values: [UInt8]

    /// - Throws: `object-unsupported` for a map of another kind, or what no kernel could have had.
    public init(_ entry: BpfmapFileEntry, in images: CheckpointImages) throws(Problem) {
        self.entry = entry
        shape = BpfMaps.Shape(
            type: entry.mapType, keySize: entry.keySize, valueSize: entry.valueSize, capacity: entry.maxEntries,
            flags: entry.mapFlags, name: Array(entry.mapName.utf8))
        guard BpfMap.types.contains(shape.type), shape.flags & ~BpfMap.flags == 0, entry.ifindex == 0 else {
            throw Problem(
                .objectUnsupported,
                "BPF map \(entry.mapID) is of type \(entry.mapType) with flags 0x\(String(entry.mapFlags, radix: 16)), which Apus cannot"
                    + " restore",
                remedy: "Restore these images with CRIU, or dump the program again without it")
        }
        let content = images.bpfMaps[entry.mapID] ?? .init(entry: BpfmapDataEntry(), content: [])
        let (keyBytes, valueBytes) = (Int(content.entry.keysBytes), Int(content.entry.valuesBytes))
        guard shape.keySize > 0, shape.valueSize > 0, shape.name.count < 16,
            content.content.count == keyBytes + valueBytes,
            keyBytes % Int(shape.keySize) == 0, keyBytes / Int(shape.keySize) <= Int(shape.capacity),
            keyBytes / Int(shape.keySize) * Int(shape.valueSize) == valueBytes
        else {
            throw Problem(
                .objectUnsupported, "what the images say of BPF map \(entry.mapID) makes no sense",
                remedy: "Copy the images again, all of them")
        }
        keys = Array(content.content.prefix(keyBytes))
        values = Array(content.content.dropFirst(keyBytes))
    }

    public var description: String {
        "BPF map \(entry.mapName.isEmpty ? "" : entry.mapName + " ")with \(keys.count / Int(shape.keySize)) elements"
    }

    public func obstacles(at site: RestoreSite) -> [Problem] { [] }

    public func open(at site: RestoreSite) throws(Problem) -> OwnedDescriptor {
        do throws(Errno) {
            if site.bpfMaps[entry.mapID] == nil { site.bpfMaps[entry.mapID] = SharedDescriptor(try make()) }
            guard let map = site.bpfMaps[entry.mapID] else { throw .badFileDescriptor }
            // By its id, for the description may be to read or to write only.
            let way = OpenFlags(rawValue: Int32(truncatingIfNeeded: entry.flags))
            let descriptor = try BpfMaps.open(try BpfMaps.look(at: map.descriptor.raw).id, way)
            try setFlags(entry.flags, of: descriptor.raw)
            return descriptor
        } catch {
            throw Problem(
                .fileUnopenable, "a BPF map cannot be made", cause: .init(error, attempted: "bpf(BPF_MAP_CREATE)"),
                remedy: "Run Apus as root, on a kernel with BPF maps of this kind")
        }
    }

    private func make() throws(Errno) -> OwnedDescriptor {
        let map = try BpfMaps.make(shape)
        try BpfMaps.fill(map.raw, shape, keys: keys, values: values)
        if entry.frozen { try BpfMaps.freeze(map.raw) }
        return map
    }
}
