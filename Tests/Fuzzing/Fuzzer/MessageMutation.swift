/// Damage to image files that leaves their form whole: the frames, the messages in them and the fields of these are read
/// without knowing their types, changed, and written again. What comes out is understood, and says what it should not.
enum MessageMutation {
    /// One field of a message as it is on the wire (protobuf.dev, Encoding).
    struct Field {
        var number: UInt64
        var value: Value

        enum Value {
            case varint(UInt64)
            /// 8 or 4 bytes.
            case fixed([UInt8])
            case bytes([UInt8])
            case message([Field])
        }
    }

    /// - Returns: nil where the file has not that form.
    static func damage(_ file: [UInt8], with other: [UInt8], _ random: inout Random) -> [UInt8]? {
        guard let (head, whole) = split(file) else { return nil }
        var frames = whole
        for _ in 0...random.pick([0, 0, 0, 1, 3]) {
            if frames.isEmpty || random.one(in: 20) {
                frames = rearranged(frames, split(other)?.frames ?? [], &random)
            } else {
                let place = random.below(frames.count)
                frames[place] = changed(frames[place], &random)
            }
        }
        var result = head
        for frame in frames {
            var length = UInt64(frame.count)
            if random.one(in: 200) { length = random.extreme() }
            result += (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt64(8 * $0)) } + frame
        }
        return result
    }

    /// The magic numbers, and the frames behind them: a little-endian length and as many bytes each.
    private static func split(_ file: [UInt8]) -> (head: [UInt8], frames: [[UInt8]])? {
        for head in [8, 4] where file.count >= head {
            var (frames, place) = ([[UInt8]](), head)
            while place + 4 <= file.count {
                let length = (0..<4).reduce(0) { $0 | Int(file[place + $1]) << (8 * $1) }
                guard length <= file.count - place - 4 else { break }
                frames.append(Array(file[place + 4..<place + 4 + length]))
                place += 4 + length
            }
            if place == file.count { return (Array(file[..<head]), frames) }
        }
        return nil
    }

    private static func rearranged(_ frames: [[UInt8]], _ others: [[UInt8]], _ random: inout Random) -> [[UInt8]] {
        var frames = frames
        let place = random.below(frames.count + 1)
        switch random.below(4) {
        case 0 where !frames.isEmpty: frames.remove(at: random.below(frames.count))
        case 1 where !frames.isEmpty: frames.insert(random.pick(frames), at: place)
        case 2 where !others.isEmpty: frames.insert(random.pick(others), at: place)
        case 3 where !frames.isEmpty: frames.swapAt(random.below(frames.count), random.below(frames.count))
        default: frames.insert([], at: place)
        }
        return frames
    }

    private static func changed(_ frame: [UInt8], _ random: inout Random) -> [UInt8] {
        guard var fields = fields(of: frame), !fields.isEmpty else {
            return Mutation.damage(frame, with: frame, &random)
        }
        change(&fields, &random)
        return bytes(of: fields)
    }

    // MARK: Fields

    private static func change(_ fields: inout [Field], _ random: inout Random) {
        let place = random.below(fields.count)
        switch random.below(25) {
        case 0:
            fields.remove(at: place)
            return
        case 1:
            for _ in 0...random.pick([0, 0, 3, 500]) { fields.insert(fields[place], at: place) }
            return
        case 2:
            fields.swapAt(place, random.below(fields.count))
            return
        case 3:
            fields[place].number = random.pick([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 536_870_911])
            return
        case 4:
            fields[place].value = fields[random.below(fields.count)].value
            return
        default: break
        }
        switch fields[place].value {
        case .varint: fields[place].value = .varint(random.extreme())
        case .fixed(let bytes):
            var bytes = bytes
            Mutation.overwrite(&bytes, at: 0, random.extreme(), width: bytes.count)
            fields[place].value = .fixed(bytes)
        case .bytes(let bytes): fields[place].value = .bytes(Mutation.damage(bytes, with: bytes, &random))
        case .message(var inner):
            // A name can look like a message: it is treated as what it may be.
            if inner.isEmpty || random.one(in: 10) {
                fields[place].value = .bytes(Mutation.damage(bytes(of: inner), with: [0], &random))
            } else {
                change(&inner, &random)
                fields[place].value = .message(inner)
            }
        }
    }

    private static func fields(of message: [UInt8], depth: Int = 0) -> [Field]? {
        var (found, place) = ([Field](), 0)
        while place < message.count {
            guard let tag = varint(message, &place), tag >> 3 > 0, tag >> 3 < 1000 else { return nil }
            switch tag & 7 {
            case 0:
                guard let value = varint(message, &place) else { return nil }
                found.append(Field(number: tag >> 3, value: .varint(value)))
            case 1, 5:
                let width = tag & 7 == 1 ? 8 : 4
                guard message.count - place >= width else { return nil }
                found.append(Field(number: tag >> 3, value: .fixed(Array(message[place..<place + width]))))
                place += width
            case 2:
                guard let length = varint(message, &place), length <= UInt64(message.count - place) else { return nil }
                let content = Array(message[place..<place + Int(length)])
                place += Int(length)
                if depth < 8, !content.isEmpty, let inner = fields(of: content, depth: depth + 1) {
                    found.append(Field(number: tag >> 3, value: .message(inner)))
                } else {
                    found.append(Field(number: tag >> 3, value: .bytes(content)))
                }
            default: return nil
            }
        }
        return found
    }

    private static func varint(_ bytes: [UInt8], _ place: inout Int) -> UInt64? {
        var (value, shift) = (UInt64(0), UInt64(0))
        while place < bytes.count, shift < 64 {
            let byte = bytes[place]
            place += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }

    private static func bytes(of fields: [Field]) -> [UInt8] {
        var result: [UInt8] = []
        for field in fields {
            switch field.value {
            case .varint(let value): result += varint(field.number << 3) + varint(value)
            case .fixed(let bytes): result += varint(field.number << 3 | (bytes.count == 8 ? 1 : 5)) + bytes
            case .bytes(let bytes): result += varint(field.number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
            case .message(let inner):
                let bytes = bytes(of: inner)
                result += varint(field.number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
            }
        }
        return result
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, result) = (value, [UInt8]())
        while rest >= 0x80 {
            result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return result + [UInt8(rest)]
    }
}
