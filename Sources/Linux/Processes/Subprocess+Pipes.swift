public import SystemPackage

extension Subprocess {
    /// A program that reads from Apus and writes to it. Frozen, so that each end may be taken out and have an owner of its own.
    @frozen public struct Piped: ~Copyable {
        public var pid: Int32
        /// What is written here the program reads from its standard input.
        public var input: OwnedDescriptor
        /// What the program writes to its standard output.
        public var output: OwnedDescriptor
    }

    /// posix_spawnp(3) of a program with pipes in place of its standard input and output. Its standard error is that of Apus.
    /// It has default signals and none blocked, in a process group of its own, so that an interrupt from the keyboard is for
    /// Apus alone, which decides what becomes of the program.
    ///
    /// - Parameter arguments: the name, looked for in PATH, and what follows.
    /// - Throws: ENOENT where there is no such program; EMFILE.
    public static func spawnPiped(_ arguments: [String]) throws(Errno) -> Piped {
        let toProgram = try Files.pipe()
        let fromProgram = try Files.pipe()
        let pid = try spawn(
            arguments, group: true, descriptors: [(there: 0, here: toProgram.first.raw), (1, fromProgram.second.raw)])
        return Piped(pid: pid, input: toProgram.second, output: fromProgram.first)
    }
}
