internal import SystemPackage

/// A place in the text of a `/proc` file. It walks over bytes, since names in `/proc` need not be UTF-8.
struct TextCursor {
    let bytes: [UInt8]
    let file: FilePath
    /// The next byte.
    var position: Int
    /// The end of the part that is walked over: of the text, or of one line.
    var end: Int
    /// Counted from 1.
    var line: Int?

    init(_ bytes: [UInt8], file: FilePath) {
        self.bytes = bytes
        self.file = file
        position = 0
        end = bytes.count
    }

    var isAtEnd: Bool { position >= end }
    var next: UInt8? { position < end ? bytes[position] : nil }
    /// What is left.
    var rest: ArraySlice<UInt8> { bytes[position..<end] }

    func malformed(_ expected: String) -> ProcfsError {
        ProcfsError(file: file, line: line, reason: .malformed(expected))
    }

    /// The lines as cursors of their own, without their newlines.
    func lines() -> [TextCursor] {
        var lines: [TextCursor] = []
        var start = position
        while start < end {
            let stop = bytes[start..<end].firstIndex(of: UInt8(ascii: "\n")) ?? end
            var line = self
            line.position = start
            line.end = stop
            line.line = lines.count + 1
            lines.append(line)
            start = stop + 1
        }
        return lines
    }

    /// The next line as a cursor of its own, without its newline, which is passed over; nil at the end. For texts of
    /// millions of lines: see `lines`.
    mutating func nextLine() -> TextCursor? {
        guard position < end else { return nil }
        var stop = position
        while stop < end, bytes[stop] != UInt8(ascii: "\n") { stop += 1 }
        var next = self
        next.end = stop
        line = (line ?? 0) + 1
        next.line = line
        position = stop + 1
        return next
    }

    /// Passes over a line and its newline without making a cursor of it.
    ///
    /// - Returns: where its first colon is, if it has one, and where it ends; nil at the end of the text.
    mutating func passLine() -> (colon: Int?, end: Int)? {
        guard position < end else { return nil }
        var (place, colon): (Int, Int?) = (position, nil)
        while place < end {
            let byte = bytes[place]
            if byte == UInt8(ascii: "\n") { break }
            if byte == UInt8(ascii: ":"), colon == nil { colon = place }
            place += 1
        }
        position = place + 1
        if let line { self.line = line + 1 }
        return (colon, place)
    }

    /// Passes over spaces and tabs.
    mutating func skipBlanks() {
        while let byte = next, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") { position += 1 }
    }

    /// Passes over one byte if it is the next.
    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(ProcfsError) {
        guard take(character) else { throw malformed("'\(character)'") }
    }

    /// Passes over a text if it is next.
    mutating func take(text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard end - position >= count else { return false }
        let start = position
        let isNext = text.withUTF8Buffer { wanted in
            // The buffer has `count` bytes. No array is made of them: this runs many times for each mapping of smaps.
            for index in 0..<count where unsafe wanted[index] != bytes[start + index] { return false }
            return true
        }
        if isNext { position += count }
        return isNext
    }

    /// Everything before `character`, which is passed over; nil where it does not come.
    mutating func take(until character: Unicode.Scalar) -> ArraySlice<UInt8>? {
        guard let stop = rest.firstIndex(of: UInt8(ascii: character)) else { return nil }
        defer { position = stop + 1 }
        return bytes[position..<stop]
    }

    /// The bytes up to the next blank or the end; blanks before are passed over. Empty at the end.
    mutating func word() -> ArraySlice<UInt8> {
        skipBlanks()
        let start = position
        while let byte = next, byte != UInt8(ascii: " "), byte != UInt8(ascii: "\t") { position += 1 }
        return bytes[start..<position]
    }

    /// A number of at least one digit; blanks before it are passed over. nil where there is none or it overflows.
    mutating func number(radix: UInt64 = 10) -> UInt64? {
        skipBlanks()
        var (value, start): (UInt64, Int) = (0, position)
        while let byte = next, let digit = Self.digit(byte), digit < radix {
            let (product, over) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if over || carry { return nil }
            value = sum
            position += 1
        }
        return position > start ? value : nil
    }

    mutating func number<Value: FixedWidthInteger>(
        _ expected: String, radix: UInt64 = 10, as: Value.Type = Value.self
    ) throws(ProcfsError) -> Value {
        skipBlanks()
        let isNegative = Value.isSigned && take("-")
        guard let magnitude = number(radix: radix) else { throw malformed(expected) }
        let value = isNegative ? Value(exactly: -Int128(magnitude)) : Value(exactly: magnitude)
        guard let value else { throw malformed("\(expected) of \(Value.bitWidth) bits") }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}

extension Sequence where Element == UInt8 {
    /// Undoes the escapes of seq_file: a backslash and three octal digits.
    func withoutOctalEscapes() -> [UInt8] {
        var result: [UInt8] = []
        let bytes = Array(self)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), let value = Self.octal(bytes[(index + 1)...].prefix(3)) {
                result.append(value)
                index += 4
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    private static func octal(_ digits: ArraySlice<UInt8>) -> UInt8? {
        guard digits.count == 3 else { return nil }
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { return nil }
            value = value * 8 + Int(digit - UInt8(ascii: "0"))
        }
        return UInt8(exactly: value)
    }
}
