internal import CLinux
public import SystemPackage

/// Performs a system call by number and turns a failure into the typed error.
///
/// All typed calls of this module stand on it. EINTR is reported like any other error unless `retrying` is set.
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
    try outcome(of: number, a, b, c, d, e, f, retrying: retrying).get()
}

/// The same as a value, for use within the closures that lend out a pointer.
func outcome(
    of number: Int, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0, _ e: UInt = 0, _ f: UInt = 0,
    retrying: Bool = true
) -> Result<Int, Errno> {
    while true {
        let result = apus_syscall(number, a, b, c, d, e, f)
        if result >= 0 { return .success(result) }
        let error = Errno(rawValue: apus_errno())
        if error == .interrupted && retrying { continue }
        return .failure(error)
    }
}

/// Performs a call that wants the address of a structure, which it may read and write.
///
/// `body` gets the address as the number that goes into a register; the address is valid during `body` only.
func withAddress<Value, R>(of value: inout Value, _ body: (UInt) -> Result<R, Errno>) throws(Errno) -> R {
    let result = unsafe withUnsafeMutablePointer(to: &value) { pointer in
        // The number is used by one system call within the closure, while the pointer is valid.
        body(UInt(bitPattern: pointer))
    }
    return try result.get()
}

/// Performs a call that reads bytes from memory, whose address is valid during `body` only.
func withAddress<R>(ofBytes bytes: [UInt8], _ body: (_ address: UInt, _ count: UInt) -> R) -> R {
    unsafe bytes.withUnsafeBytes { buffer in
        // The number is used by one system call within the closure, while the buffer is valid.
        body(UInt(bitPattern: buffer.baseAddress), UInt(buffer.count))
    }
}

/// Performs a call that takes a path, as a NUL-terminated string whose address is valid during `body` only.
func withAddress<R>(of path: FilePath, _ body: (UInt) -> R) -> R {
    unsafe path.withPlatformString { pointer in
        // The number is used by one system call within the closure, while the string is valid.
        body(UInt(bitPattern: pointer))
    }
}

/// Performs a call that fills a buffer, whose address is valid during `body` only.
///
/// - Parameter body: makes the call, which writes at most `capacity` bytes; its result is the number of bytes written.
func bytes(filledBy capacity: Int, _ body: (_ address: UInt) -> Result<Int, Errno>) throws(Errno) -> [UInt8] {
    var failure: Errno?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
        // The kernel initialises exactly as many bytes as it reports.
        switch body(UInt(bitPattern: buffer.baseAddress)) {
        case .success(let count): initialized = count
        case .failure(let error): failure = error
        }
    }
    if let failure { throw failure }
    return bytes
}

extension UInt {
    /// A negative number (AT_FDCWD, -1) as the kernel takes it in a register.
    public init(signed value: Int32) { self.init(bitPattern: Int(value)) }
}
