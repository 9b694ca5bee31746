internal import Diagnostics
internal import Memory
internal import Tracing

/// A program without a vdso (vdso(7)) leaves Apus no place for its code. One that it has moved with mremap(2) is one.
enum VdsoObstacle {
    static func find(_ process: SurveyedProcess) -> Problem? {
        if process.areas.contains(where: { $0.kind == .vdso }) { return nil }
        return Problem(
            .noRoomForCode, "it has no vdso: it has unmapped it, or the kernel was booted with vdso=0",
            object: process.object,
            remedy: "Have the program keep its vdso, or boot without vdso=0, and start the program anew")
    }
}
