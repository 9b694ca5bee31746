internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// Programs that the kernel runs in a way that Apus knows nothing of: those of the x32 ABI, 32-bit programs in 64-bit
/// mode with system calls of their own.
enum ForeignProgram {
    static func obstacle(to process: SurveyedProcess) -> Problem? {
        let path = ProcessDirectory(process.pid).path.appending("exe")
        // The class is the fifth byte of an ELF file, 1 for 32 bits; the machine is at 18, 62 for x86-64 (elf(5)).
        guard let file = try? Files.open(path, [.readOnly, .closeOnExec]),
            let header = try? Files.read(file.raw, count: 20, at: 0), header.count == 20, header[4] == 1,
            header[18] == 62
        else { return nil }
        return Problem(
            .foreignArchitecture, "it is a program of the x32 ABI", object: process.object,
            remedy: "Run another build of it: of 64 bits, or for i386")
    }
}
