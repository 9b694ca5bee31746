internal import SystemPackage

/// Lines of the form `Key:<blanks>value`, found by key.
struct KeyedLines {
    private var values: [ArraySlice<UInt8>: TextCursor] = [:]
    private let file: FilePath

    init(_ text: [UInt8], file: FilePath) throws(ProcfsError) {
        self.file = file
        for var line in TextCursor(text, file: file).lines() {
            guard let key = line.take(until: ":") else { throw line.malformed("':' after a key") }
            line.skipBlanks()
            values[key] = line
        }
    }

    func optional(_ key: StaticString) -> TextCursor? {
        values[Array(String(describing: key).utf8)[...]]
    }

    func required(_ key: StaticString) throws(ProcfsError) -> TextCursor {
        guard let value = optional(key) else {
            throw ProcfsError(file: file, reason: .malformed("a line \(key)"))
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
