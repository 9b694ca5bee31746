internal import Glibc

/// The arguments of this process as the kernel passed them, which need not be UTF-8.
enum ProcessArguments {
    /// All arguments, the name of the program first.
    static let bytes: [[UInt8]] = (0..<Int(CommandLine.argc)).compactMap { index in
        // unsafe: argv has argc entries, each a C string that lives as long as the process.
        guard let argument = unsafe CommandLine.unsafeArgv[index] else { return nil }
        return unsafe Array(UnsafeRawBufferPointer(start: argument, count: strlen(argument)))
    }
}
