import Glibc

/// Walks the steps of a dump or a restore and lets Apus die at each of them.
struct Trials {
    let world: World

    /// How many steps a run takes: what the run itself says.
    func count(_ run: (_ environment: [String: String]) throws -> Finished) throws -> Int {
        let log = world.path("steps")
        let finished = try run(["APUS_TEST_STEP_LOG": log])
        guard finished.status == 0, let steps = Int(text(log).split(separator: "\n").first ?? "") else {
            throw Failed("no number of steps: \(finished)")
        }
        return steps
    }

    /// Lets a run die at one step. True when it did die, false when it had fewer steps and came to its end.
    func kill(at step: Int, _ run: (_ environment: [String: String]) throws -> Finished) throws -> Bool {
        let finished = try run(["APUS_TEST_KILL_AT_STEP": "\(step)"])
        switch finished.status {
        case 128 + Int(SIGKILL): return true
        case 0: return false
        default: throw Failed("killed at step \(step): \(finished)")
        }
    }
}
