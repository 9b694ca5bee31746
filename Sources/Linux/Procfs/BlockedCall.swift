public import SystemPackage

/// `/proc/PID/syscall` (proc_pid_syscall(5)): what a thread waits in.
public enum BlockedCall: Sendable, Equatable {
    /// Not blocked.
    case running
    /// Blocked outside of a system call, in a page fault for example.
    case outside(stackPointer: UInt64, instructionPointer: UInt64)
    /// Blocked in a system call; always six arguments.
    case call(number: Int64, arguments: [UInt64], stackPointer: UInt64, instructionPointer: UInt64)

    /// Parses the text.
    ///
    /// - Parameter file: named in errors.
    public init(parsing text: [UInt8], file: FilePath = "syscall") throws(ProcfsError) {
        guard var line = TextCursor(text, file: file).lines().first else {
            throw ProcfsError(file: file, reason: .malformed("a line"))
        }
        if line.take(text: "running") {
            self = .running
            return
        }
        let number: Int64 = try line.number("a system call's number")
        if number < 0 {
            let stack = try line.address()
            self = .outside(stackPointer: stack, instructionPointer: try line.address())
            return
        }
        var arguments: [UInt64] = []
        for _ in 0..<6 { arguments.append(try line.address()) }
        let stack = try line.address()
        self = .call(
            number: number, arguments: arguments, stackPointer: stack, instructionPointer: try line.address())
    }
}

extension TextCursor {
    fileprivate mutating func address() throws(ProcfsError) -> UInt64 {
        skipBlanks()
        guard take(text: "0x") else { throw malformed("0x") }
        return try number("an address", radix: 16)
    }
}
