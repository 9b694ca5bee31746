internal import SystemPackage

/// Lines of the form `Key:<blanks>value`, found by key.
///
/// Of a text with some fifty lines half are asked for, once: to look through them takes less time than to make a table.
struct KeyedLines {
    private let text: TextCursor
    /// Where keys and values are in the text.
    private var lines: [(key: Range<Int>, value: Range<Int>)] = []

    init(_ text: [UInt8], file: FilePath) throws(ProcfsError) {
        var cursor = TextCursor(text, file: file)
        self.text = cursor
        lines.reserveCapacity(64)
        while !cursor.isAtEnd {
            let start = cursor.position
            guard let line = cursor.passLine(), let colon = line.colon else {
                cursor.line = lines.count + 1
                throw cursor.malformed("':' after a key")
            }
            lines.append((start..<colon, colon + 1..<line.end))
        }
    }

    func optional(_ key: StaticString) -> TextCursor? {
        let count = key.utf8CodeUnitCount
        // The last, where one stands twice.
        let place = lines.indices.last { index in
            let place = lines[index].key
            guard place.count == count else { return false }
            return key.withUTF8Buffer { wanted in
                // unsafe: a static string's own bytes, of which there are `count`.
                for offset in 0..<count where unsafe wanted[offset] != text.bytes[place.lowerBound + offset] {
                    return false
                }
                return true
            }
        }
        guard let place else { return nil }
        var cursor = text
        cursor.position = lines[place].value.lowerBound
        cursor.end = lines[place].value.upperBound
        cursor.line = place + 1
        cursor.skipBlanks()
        return cursor
    }

    func required(_ key: StaticString) throws(ProcfsError) -> TextCursor {
        guard let value = optional(key) else {
            throw ProcfsError(file: text.file, reason: .malformed("a line \(key)"))
        }
        return value
    }

    func number<Value: FixedWidthInteger>(_ key: StaticString, radix: UInt64 = 10) throws(ProcfsError) -> Value {
        var cursor = try required(key)
        return try cursor.number("\(key)", radix: radix)
    }

    /// nil where the line is missing; a line without a number is an error.
    func number<Value: FixedWidthInteger>(_ key: StaticString, radix: UInt64 = 10) throws(ProcfsError) -> Value? {
        guard var cursor = optional(key) else { return nil }
        return try cursor.number("\(key)", radix: radix) as Value
    }

    func flag(_ key: StaticString) throws(ProcfsError) -> Bool? {
        let value: UInt8? = try number(key)
        return value.map { $0 != 0 }
    }

    /// All numbers of a line; none where the line is missing.
    func numbers<Value: FixedWidthInteger>(_ key: StaticString) throws(ProcfsError) -> [Value] {
        guard var cursor = optional(key) else { return [] }
        var numbers: [Value] = []
        cursor.skipBlanks()
        while !cursor.isAtEnd {
            numbers.append(try cursor.number("\(key)"))
            cursor.skipBlanks()
        }
        return numbers
    }
}
