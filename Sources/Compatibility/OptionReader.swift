public import Diagnostics
internal import Linux
public import SystemPackage

/// Reads the values of an invocation in the types that an engine wants, and collects what is wrong with them.
///
/// A value that cannot be read is reported with the place where it was written: the option, or the line of a file.
public struct OptionReader {
    private let invocation: Invocation
    /// What is wrong so far.
    public private(set) var problems: [Problem] = []

    public init(_ invocation: Invocation) { self.invocation = invocation }

    /// Adds problems that another check found.
    public mutating func report(_ found: [Problem]) { problems += found }

    /// Throws what was found, or does nothing where nothing was.
    public func finish() throws(Problems) { try Problems.throwIfAny(problems) }

    /// Whether the flag is given.
    public func flag(_ long: String) -> Bool { invocation.has(long) }

    /// The path that the option gives.
    public mutating func path(_ long: String) -> FilePath? { paths(long).last }

    /// All paths that the option gives.
    public mutating func paths(_ long: String) -> [FilePath] {
        all(long).compactMap { given in
            guard let bytes = given.value, !bytes.isEmpty else {
                reject(given, expected: "a path")
                return nil
            }
            return FilePath(bytes: bytes)
        }
    }

    /// How often the option is given, with and without a value.
    public func occurrences(_ long: String) -> Int { all(long).count }

    /// All values of the option, byte by byte.
    public func values(_ long: String) -> [[UInt8]] { all(long).compactMap(\.value) }

    /// The number that the option gives, if it lies within the range.
    ///
    /// - Parameter expected: what the number is, for the problem that a wrong one becomes.
    public mutating func number<Number: FixedWidthInteger>(
        _ long: String, in range: ClosedRange<Number>, expected: String
    ) -> Number? {
        guard let given = all(long).last else { return nil }
        if let text = given.text, let number = Number(text), range.contains(number) { return number }
        reject(given, expected: expected)
        return nil
    }

    /// The size that the option gives, in bytes: a number, with K, M or G behind it for powers of 1024.
    public mutating func size(_ long: String) -> UInt64? {
        guard let given = all(long).last else { return nil }
        let shifts: [Character: UInt64] = ["k": 10, "K": 10, "m": 20, "M": 20, "g": 30, "G": 30]
        let text = given.text ?? ""
        let shift = text.last.flatMap { shifts[$0] }
        if let number = UInt64(shift == nil ? text : String(text.dropLast())),
            number <= UInt64(Int64.max) >> (shift ?? 0)
        {
            return number << (shift ?? 0)
        }
        reject(given, expected: "a size in bytes, such as 4096, 512K, 64M or 2G")
        return nil
    }

    private func all(_ long: String) -> [GivenOption] { invocation.options.filter { $0.option.long == long } }

    private mutating func reject(_ given: GivenOption, expected: String) {
        let value = given.text.map { $0.isEmpty ? "an empty text" : $0 } ?? "nothing"
        var problem = Problem.invalid(given.option.spelling, value, expected: expected)
        problem.object.path = given.source.place
        problems.append(problem)
    }
}
