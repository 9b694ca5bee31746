internal import Checkpoint
internal import Diagnostics
internal import Tracing

/// Reads the body of a frame from its beginning.
struct BodyReader {
    private let body: [UInt8]
    private var position = 0

    init(_ body: [UInt8]) { self.body = body }

    /// How many bytes are left.
    var rest: Int { body.count - position }

    mutating func word32() throws(Problem) -> UInt32 { try integer(UInt32.self) }
    mutating func word64() throws(Problem) -> UInt64 { try integer(UInt64.self) }

    mutating func bytes(_ count: Int) throws(Problem) -> [UInt8] {
        guard count >= 0, count <= rest else { throw Self.malformed }
        defer { position += count }
        return Array(body[position..<position + count])
    }

    private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(Problem) -> Value {
        let size = Value.bitWidth / 8
        guard rest >= size else { throw Self.malformed }
        defer { position += size }
        return body.littleEndian(type, at: position)
    }

    mutating func space() throws(Problem) -> PageSpace {
        let kind = try word32()
        let number = try word64()
        switch kind {
        case 1:
            guard let pid = Int32(exactly: number) else { throw Self.malformed }
            return .process(pid)
        case 2: return .shared(number)
        default: throw Self.malformed
        }
    }

    static let malformed = Problem(
        .badProtocol, "the other host says something that is not understood",
        remedy: "See that `apus` is of the same version on both hosts")
}

extension PageSpace {
    /// As it travels: the kind and the number.
    func append(to body: inout [UInt8]) {
        switch self {
        case .process(let pid):
            body.append(littleEndian: UInt32(1))
            body.append(littleEndian: UInt64(UInt32(bitPattern: pid)))
        case .shared(let number):
            body.append(littleEndian: UInt32(2))
            body.append(littleEndian: number)
        }
    }
}
