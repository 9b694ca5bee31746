internal import Diagnostics
internal import Linux
internal import Memory
internal import Objects
internal import Tracing

/// A program without a vdso (vdso(7)) leaves Apus no place for its code. One that it has moved with mremap(2) is one.
enum VdsoObstacle {
    static func find(_ process: SurveyedProcess) -> Problem? {
        if process.areas.contains(where: { $0.kind == .vdso }) { return keyed(process) }
        return Problem(
            .noRoomForCode, "it has no vdso: it has unmapped it, or the kernel was booted with vdso=0",
            object: process.object,
            remedy: "Have the program keep its vdso, or boot without vdso=0, and start the program anew")
    }

    /// A thread that denies itself the key could not read what Apus' code in the vdso reads there, and would die of it.
    private static func keyed(_ process: SurveyedProcess) -> Problem? {
        for (area, kind) in process.areas where kind == .vdso || kind == .vvar {
            guard let key = area.details?.protectionKey, key != 0 else { continue }
            var object = process.object
            object.address = area.range.lowerBound
            return Problem(
                .unsupported, "its \(kind == .vdso ? "vdso" : "data of the vdso (vvar)") has protection key \(key)",
                object: object, remedy: "Have the program give it key 0 (pkey_mprotect) before the dump")
        }
        return nil
    }
}
