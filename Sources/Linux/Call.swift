internal import CLinux
public import SystemPackage

/// Performs a system call by number and turns a failure into the typed error.
///
/// All typed calls of this module stand on it. EINTR is reported like any other error: a caller that wants the call
/// restarted says so with `retrying`.
///
/// - Parameters:
///   - number: the call's number on this architecture (`SYS_*`, syscalls(2)).
///   - retrying: start again when a signal interrupts the call. Never for close(2), whose descriptor is gone anyhow.
/// - Returns: the call's result, never negative.
/// - Throws: the call's error number.
@discardableResult
public func call(
    _ number: Int, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0, _ e: UInt = 0, _ f: UInt = 0,
    retrying: Bool = true
) throws(Errno) -> Int {
    while true {
        let result = apus_syscall(number, a, b, c, d, e, f)
        if result >= 0 { return result }
        let error = Errno(rawValue: apus_errno())
        if error == .interrupted && retrying { continue }
        throw error
    }
}

extension UInt {
    /// A negative number (AT_FDCWD, -1) as the kernel takes it in a register.
    public init(signed value: Int32) { self.init(bitPattern: Int(value)) }
}
