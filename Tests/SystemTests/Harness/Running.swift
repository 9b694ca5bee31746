import Glibc

/// A program that a test has started. It is killed at the latest when nobody holds it any more.
final class Running {
    let pid: Int32
    let name: String
    private var input: Int32
    private let output: Int32
    private let errors: Int32
    private let started = now()
    private var ended: Finished?

    init(pid: Int32, name: String, input: Int32, output: Int32, errors: Int32) {
        self.pid = pid
        self.name = name
        self.input = input
        self.output = output
        self.errors = errors
    }

    deinit {
        if ended == nil { _ = stop() }
        closeInput()
        close(output)
        close(errors)
    }

    /// What it has written so far.
    var outputSoFar: String { contents(of: output) }
    var errorsSoFar: String { contents(of: errors) }

    /// Writes to its standard input.
    func type(_ bytes: [UInt8]) {
        _ = unsafe write(input, bytes, bytes.count)
    }

    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Waits for its end; what is not over in time is killed.
    func wait(seconds: Double) -> Finished {
        let limit = now() + seconds * Place.patience
        while ended == nil {
            if reap(WNOHANG) { break }
            if now() > limit {
                kill(pid, SIGKILL)
                _ = reap(0)
                ended?.status = Finished.timeIsUp
                ended?.errors += "\nkilled after \(seconds * Place.patience) s: \(name)\n"
            }
            usleep(UInt32(300 * Place.patience))
        }
        return ended ?? Finished(status: Finished.timeIsUp, output: "", errors: "", seconds: seconds)
    }

    /// Kills it.
    func stop() -> Finished {
        if ended == nil {
            kill(pid, SIGKILL)
            _ = reap(0)
        }
        return wait(seconds: 1)
    }

    private func reap(_ options: Int32) -> Bool {
        var status: Int32 = 0
        guard unsafe waitpid(pid, &status, options) == pid else { return false }
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
        ended = Finished(
            status: Int(code), output: outputSoFar, errors: errorsSoFar, seconds: now() - started)
        return true
    }
}

/// Seconds of a clock that never jumps.
func now() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Tries until `condition` holds; false when the time is up first.
func eventually(seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    let limit = now() + seconds * Place.patience
    while try !condition() {
        if now() > limit { return false }
        // Who looks all the time takes a slow machine's time from what it waits for.
        usleep(UInt32(2000 * Place.patience))
    }
    return true
}
