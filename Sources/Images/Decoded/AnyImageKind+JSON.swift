public import Diagnostics
internal import ImageMessages
internal import SwiftProtobuf

extension AnyImageKind {
    /// A whole file for people and programs, in the shape that crit shows: the kind under `magic`, the messages under
    /// `entries`, the raw bytes of each under `extra`.
    ///
    /// - Throws: `image-bad-magic`, `image-truncated`, `image-bad-frame`, `image-unreadable`.
    public func json(of file: ImageFile) throws(Problem) -> JSON {
        var entries: [JSON] = []
        for record in try records(in: file) {
            var entry = Self.styled(Self.json(of: record.entry), in: layout.kind)
            let (extra, more) = try extras(of: record, in: file)
            if let extra, case .object(let members) = entry { entry = .object(members + [.init("extra", extra)]) }
            entries.append(entry)
            entries += more
        }
        let kind = layout.kind == "SHMEM_PAGEMAP" ? "PAGEMAP" : layout.kind
        return .object([.init("magic", .string(kind)), .init("entries", .array(entries))])
    }

    /// A message with the names of the format, and all numbers as numbers.
    private static func json(of message: any Message) -> JSON {
        var options = JSONEncodingOptions()
        options.alwaysPrintInt64sAsNumbers = true
        options.preserveProtoFieldNames = true
        do {
            let text: [UInt8] = try message.jsonUTF8Bytes(options: options)
            if let value = JSON(parsing: text) { return value }
        } catch {
            preconditionFailure("a decoded message is always JSON: \(error)")
        }
        preconditionFailure("SwiftProtobuf writes JSON")
    }

    private static func styled(_ value: JSON, in container: String) -> JSON {
        switch value {
        case .object(let members):
            .object(
                members.map { member in
                    if let style = FieldStyle.of(container, member.name) {
                        return .init(member.name, style.applied(to: member.value))
                    }
                    return .init(member.name, styled(member.value, in: member.name))
                })
        case .array(let values): .array(values.map { styled($0, in: container) })
        case .null, .bool, .integer, .unsigned, .double, .string: value
        }
    }

    /// What stands behind a message: as one value that belongs to it, or as entries of their own.
    private func extras(
        of record: Record, in file: ImageFile
    ) throws(Problem) -> (extra: JSON?, more: [JSON]) {
        let start = record.payload.lowerBound
        func base64(_ count: some BinaryInteger, at offset: UInt64) throws(Problem) -> JSON {
            .string(Base64.encode(try file.bytes(at: offset, count: UInt64(count))))
        }
        switch record.entry {
        case let entry as PipeDataEntry: return (try base64(entry.bytes, at: start), [])
        case let entry as SkPacketEntry: return (try base64(entry.length, at: start), [])
        case let entry as IpcShmEntry: return (try base64(entry.inPagemaps ? 0 : entry.size, at: start), [])
        case let entry as TcpStreamEntry:
            let received = try base64(entry.inqLen, at: start)
            let sent = try base64(entry.outqLen, at: start + UInt64(entry.inqLen))
            return (.object([.init("inq", received), .init("outq", sent)]), [])
        case let entry as BpfmapDataEntry:
            let keys = try base64(entry.keysBytes, at: start)
            let values = try base64(entry.valuesBytes, at: start + UInt64(entry.keysBytes))
            return (.object([.init("keys", keys), .init("values", values)]), [])
        case let entry as IpcSemEntry:
            let bytes = try file.bytes(at: start, count: UInt64(entry.nsems) * 2)
            let values = stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
            return (.array(values.map { .number($0) }), [])
        case let entry as IpcMsgEntry: return (try messages(entry, at: start, in: file), [])
        case let entry as GhostFileEntry where entry.chunks: return (nil, try chunks(at: start, in: file))
        case is GhostFileEntry: return (try base64(record.payload.count, at: start), [])
        default: return (nil, [])
        }
    }

    private func messages(_ queue: IpcMsgEntry, at start: UInt64, in file: ImageFile) throws(Problem) -> JSON {
        var cursor = FrameCursor(file, at: start)
        var values: [JSON] = []
        for _ in 0..<queue.qnum {
            let message = try cursor.frame(IpcMsg.self)
            values.append(Self.json(of: message))
            values.append(.string(Base64.encode(try cursor.bytes(UInt64(message.msize)))))
            try cursor.skip((8 - UInt64(message.msize) % 8) % 8)
        }
        return .array(values)
    }

    private func chunks(at start: UInt64, in file: ImageFile) throws(Problem) -> [JSON] {
        var cursor = FrameCursor(file, at: start)
        var values: [JSON] = []
        while !cursor.isAtEnd {
            let chunk = try cursor.frame(GhostChunkEntry.self)
            let content = Base64.encode(try cursor.bytes(chunk.len))
            if case .object(let members) = Self.json(of: chunk) {
                values.append(.object(members + [.init("extra", .string(content))]))
            }
        }
        return values
    }
}
