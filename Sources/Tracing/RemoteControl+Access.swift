internal import Diagnostics
internal import SystemPackage

/// The memory of a process under control, and what is told where something fails.
extension RemoteControl {
    func refused(_ name: String, _ result: Int64, _ remedy: String) -> Problem {
        Problem(
            .remoteCallFailed, "it cannot make the calls that Apus needs", object: .init(pid: process.pid),
            cause: .init(Errno(rawValue: Int32(truncatingIfNeeded: -result)), attempted: name), remedy: remedy)
    }

    func write(_ bytes: [UInt8], at address: RemoteAddress) throws(Problem) {
        do throws(Errno) { try memory.write(bytes, at: address) } catch { throw unreachable(address, error) }
    }

    func read(_ address: RemoteAddress, count: Int) throws(Problem) -> [UInt8] {
        do throws(Errno) { return try memory.read(address, count: count) } catch { throw unreachable(address, error) }
    }

    func unreachable(_ address: RemoteAddress, _ error: Errno) -> Problem {
        Problem(
            .memoryUnreachable, "its memory cannot be accessed", object: .init(pid: process.pid, address: address.raw),
            cause: .init(error, attempted: "access through /proc/\(process.pid)/mem"),
            remedy: "If the process has just ended there is nothing left to do; otherwise run Apus as root")
    }
}
