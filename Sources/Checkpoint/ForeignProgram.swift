internal import Diagnostics
internal import Linux
internal import SystemPackage
internal import Tracing

/// Programs that run in another mode of the processor than Apus' own: those of 32 bits.
enum ForeignProgram {
    /// By the program that was executed: which mode its threads are in shows in their registers alone, once they stand
    /// still.
    static func obstacle(to process: SurveyedProcess) -> Problem? {
        let path = ProcessDirectory(process.pid).path.appending("exe")
        // The class is the fifth byte of an ELF file, 1 for 32 bits (elf(5)).
        guard let file = try? Files.open(path, [.readOnly, .closeOnExec]),
            let header = try? Files.read(file.raw, count: 5, at: 0), header.last == 1
        else { return nil }
        return Problem(
            .foreignArchitecture, "it is a 32-bit program", object: process.object,
            remedy: "Apus dumps 64-bit programs only; run a 64-bit build of it")
    }
}
