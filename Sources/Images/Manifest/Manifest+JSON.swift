internal import Diagnostics
internal import SystemPackage

// Names are as they are for people to read: digests and build ids are hexadecimal digits, modes octal ones. What a newer
// Apus adds is passed over; what is there and is of another type than it should be makes the whole no manifest.

extension Manifest {
    var json: JSON {
        var members: [JSON.Member] = [
            .init("format_version", .number(formatVersion)), .init("tool_version", .string(toolVersion)),
            .init("created", .integer(created)),
        ]
        if let host { members.append(.init("host", host.json)) }
        if let root { members.append(.init("root", root.json)) }
        members.append(.init("files", .array(files.map(\.json))))
        members.append(.init("needed", .array(needed.map(\.json))))
        return .object(members)
    }

    /// - Returns: nil where the document is no manifest.
    init?(_ document: JSON) {
        guard let version = document.unsigned("format_version").flatMap({ UInt32(exactly: $0) }),
            let tool = document["tool_version"]?.string, let created = document.signed("created")
        else { return nil }
        (formatVersion, toolVersion, self.created) = (version, tool, created)
        // Those of a newer one may mean something else: it is refused by its version.
        guard version <= Self.currentVersion else { return }
        guard let files = document.list("files", ManifestFile.init),
            let needed = document.list("needed", NeededFile.init)
        else { return nil }
        (self.files, self.needed) = (files, needed)
        if let root = document["root"] {
            guard let root = ManifestRoot(root) else { return nil }
            self.root = root
        }
        guard let host = document["host"] else { return }
        guard let record = HostRecord(host) else { return nil }
        self.host = record
    }
}

extension ManifestRoot {
    fileprivate var json: JSON {
        [
            "start": .number(start), "boot": .string(boot), "name": .string(name),
        ]
    }

    fileprivate init?(_ value: JSON) {
        guard let start = value.unsigned("start"), let boot = value["boot"]?.string,
            let name = value["name"]?.string
        else { return nil }
        self.init(start: start, boot: boot, name: name)
    }
}

extension ManifestFile {
    fileprivate var json: JSON {
        var members: [JSON.Member] = [.init("name", .string(name)), .init("size", .number(size))]
        if let digest { members.append(.init("xxh128", .string(digest.description))) }
        return .object(members)
    }

    fileprivate init?(_ value: JSON) {
        guard let name = value["name"]?.string, let size = value.unsigned("size") else { return nil }
        (self.name, self.size) = (name, size)
        guard let text = value["xxh128"] else { return }
        guard let digest = text.string.flatMap({ ImageDigest($0) }) else { return nil }
        self.digest = digest
    }
}

extension HostRecord {
    fileprivate var json: JSON {
        [
            "node": .string(node), "kernel": .string(kernel), "kernel_version": .string(kernelVersion),
            "architecture": .string(architecture), "distribution": .string(distribution),
            "page_size": .number(pageSize),
            "processor": processor.json,
            "clock": [
                "source": .string(clock.source), "realtime": .number(clock.realTime),
                "monotonic": .number(clock.monotonic), "boottime": .number(clock.bootTime),
            ],
        ]
    }

    fileprivate init?(_ value: JSON) {
        func text(_ name: String) -> String { value[name]?.string ?? "" }
        guard let pageSize = value.unsigned("page_size"), let processor = value["processor"],
            let clock = value["clock"],
            let record = HostRecord.Processor(processor), let realTime = clock.unsigned("realtime"),
            let monotonic = clock.unsigned("monotonic"), let bootTime = clock.unsigned("boottime")
        else { return nil }
        self.init(
            node: text("node"), kernel: text("kernel"), kernelVersion: text("kernel_version"),
            architecture: text("architecture"), distribution: text("distribution"), pageSize: pageSize,
            processor: record,
            clock: .init(
                source: clock["source"]?.string ?? "", realTime: realTime, monotonic: monotonic, bootTime: bootTime))
    }
}

extension HostRecord.Processor {
    fileprivate var json: JSON {
        var members: [JSON.Member] = [
            .init("vendor", .string(vendor)), .init("model", .string(model)),
            .init("features", .array(features.map(JSON.string))),
            .init("xsave_features", .number(stateFeatures)), .init("xsave_size", .number(stateSize)),
        ]
        if let level { members.append(.init("level", .string(level.rawValue))) }
        return .object(members)
    }

    fileprivate init?(_ value: JSON) {
        guard let stateFeatures = value.unsigned("xsave_features"), let stateSize = value.unsigned("xsave_size"),
            let features = value.list("features", \.string)
        else { return nil }
        self.init(
            vendor: value["vendor"]?.string ?? "", model: value["model"]?.string ?? "", features: features,
            stateFeatures: stateFeatures, stateSize: stateSize)
        guard let level = value["level"] else { return }
        guard let text = level.string else { return nil }
        // One that is not known here is as good as none: all instructions are asked for.
        self.level = ProcessorLevel(rawValue: text)
    }
}

extension NeededFile {
    fileprivate var json: JSON {
        var members = path.members("path")
        members += [
            .init("descriptions", .array(descriptions.map { .number($0) })),
            .init("uses", .array(Uses.names.filter { uses.contains($0.0) }.map { .string($0.1) })),
            .init("mode", .string(String(mode, radix: 8))), .init("uid", .number(uid)), .init("gid", .number(gid)),
            .init("size", .number(size)), .init("modified", modified.json), .init("changed", changed.json),
            .init("device", .number(device)), .init("inode", .number(inode)),
        ]
        if !buildID.isEmpty { members.append(.init("build_id", .string(Hexadecimal.text(buildID)))) }
        if let digest { members.append(.init("sha256", .string(digest.description))) }
        if let unread { members.append(.init("unread", .string(unread))) }
        if let mount {
            members.append(
                .init(
                    "mount",
                    .object(
                        mount.point.members("point") + [
                            .init("type", .string(mount.fileSystem)), .init("source", .string(mount.source)),
                        ])))
        }
        if let policy { members.append(.init("policy", .string(policy))) }
        if isShipped { members.append(.init("shipped", true)) }
        return .object(members)
    }

    fileprivate init?(_ value: JSON) {
        guard let path = FilePath(member: "path", of: value), path.isAbsolute,
            let ids = value.list("descriptions", { $0.bits.flatMap { UInt32(exactly: $0) } }),
            let uses = value.list("uses", \.string), let mode = value["mode"]?.string.flatMap({ UInt32($0, radix: 8) }),
            let uid = value.unsigned("uid").flatMap({ UInt32(exactly: $0) }),
            let gid = value.unsigned("gid").flatMap({ UInt32(exactly: $0) }), let size = value.unsigned("size"),
            let modified = value["modified"].flatMap(Time.init), let changed = value["changed"].flatMap(Time.init),
            let device = value.unsigned("device"), let inode = value.unsigned("inode")
        else { return nil }
        self.init(path: path)
        descriptions = ids
        self.uses = Uses(Uses.names.filter { uses.contains($0.1) }.map(\.0))
        (self.mode, self.uid, self.gid, self.size) = (mode, uid, gid, size)
        (self.modified, self.changed, self.device, self.inode) = (modified, changed, device, inode)
        unread = value["unread"]?.string
        policy = value["policy"]?.string
        isShipped = value["shipped"]?.isTrue ?? false
        if let text = value["build_id"] {
            guard let bytes = text.string.flatMap(Hexadecimal.bytes), bytes.count <= 64 else { return nil }
            buildID = bytes
        }
        if let text = value["sha256"] {
            guard let digest = text.string.flatMap({ ContentDigest($0) }) else { return nil }
            self.digest = digest
        }
        // A copy is found by its digest.
        if isShipped && digest == nil { return nil }
        if let place = value["mount"] {
            guard let point = FilePath(member: "point", of: place) else { return nil }
            mount = Mount(
                point: point, fileSystem: place["type"]?.string ?? "", source: place["source"]?.string ?? "")
        }
    }
}

extension NeededFile.Time {
    /// Seconds and nanoseconds: a number with a fraction would lose the last digits in many a reader.
    fileprivate var json: JSON { [.integer(seconds), .number(nanoseconds)] }

    fileprivate init?(_ value: JSON) {
        guard let parts = value.elements, parts.count == 2, let seconds = parts[0].bits,
            let nanoseconds = parts[1].bits.flatMap({ UInt32(exactly: $0) }), nanoseconds < 1_000_000_000
        else { return nil }
        self.init(seconds: Int64(bitPattern: seconds), nanoseconds: nanoseconds)
    }
}

extension FilePath {
    /// A path as text, and as digits where it is none.
    fileprivate func members(_ name: String) -> [JSON.Member] {
        let bytes = imageBytes
        let text = String(decoding: bytes, as: UTF8.self)
        var members: [JSON.Member] = [.init(name, .string(text))]
        if Array(text.utf8) != bytes { members.append(.init(name + "_bytes", .string(Hexadecimal.text(bytes)))) }
        return members
    }

    fileprivate init?(member name: String, of value: JSON) {
        var bytes = Array((value[name]?.string ?? "").utf8)
        if let digits = value[name + "_bytes"] {
            guard let exact = digits.string.flatMap(Hexadecimal.bytes) else { return nil }
            bytes = exact
        }
        guard !bytes.isEmpty, !bytes.contains(0) else { return nil }
        self.init(imageBytes: bytes)
    }
}

extension JSON {
    /// A whole number that is not negative.
    fileprivate func unsigned(_ name: String) -> UInt64? {
        switch self[name] {
        case .integer(let value): UInt64(exactly: value)
        case .unsigned(let value): value
        case .null, .bool, .double, .string, .array, .object, nil: nil
        }
    }

    fileprivate func signed(_ name: String) -> Int64? {
        switch self[name] {
        case .integer(let value): value
        case .unsigned(let value): Int64(exactly: value)
        case .null, .bool, .double, .string, .array, .object, nil: nil
        }
    }

    /// The elements of an array, each of which has to be one; an absent array is an empty one.
    fileprivate func list<Element>(_ name: String, _ element: (JSON) -> Element?) -> [Element]? {
        guard let value = self[name] else { return [] }
        guard let values = value.elements else { return nil }
        let found = values.compactMap(element)
        return found.count == values.count ? found : nil
    }
}
