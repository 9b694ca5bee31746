/// Integers in the messages of the kernel, in the byte order of the processors that Apus runs on.
extension ArraySlice<UInt8> {
    /// The integer so many bytes behind the beginning of the slice. What lies behind its end counts as zero.
    public func integer<Value: FixedWidthInteger>(at offset: Int, of type: Value.Type) -> Value {
        var value: Value = 0
        for (index, byte) in dropFirst(offset).prefix(Value.bitWidth / 8).enumerated() {
            value |= Value(byte) << Value(8 * index)
        }
        return value
    }
}

extension [UInt8] {
    /// Appends an integer as the kernel reads it.
    mutating func append<Value: FixedWidthInteger>(integer value: Value) {
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> Value(shift)))
        }
    }
}
