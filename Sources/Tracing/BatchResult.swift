internal import CTrampoline
public import Diagnostics
internal import Linux
internal import SystemPackage

/// What came of a batch.
public struct BatchResult: Sendable {
    private let batch: Batch
    private let bytes: [UInt8]
    private let pid: Int32
    /// The index of the call whose result was not expected, or nil where all went well.
    public let failedCall: Int?

    init(_ batch: Batch, bytes: [UInt8], left: Int, pid: Int32) {
        self.batch = batch
        self.bytes = bytes
        self.pid = pid
        failedCall = left == 0 ? nil : batch.calls.count - left
    }

    /// What a call returned: a value, or a negated errno. -1 for a call that was not made.
    public subscript(_ index: Int) -> Int64 {
        bytes.littleEndian(Int64.self, at: index * Int(APUS_RECORD_SIZE) + Batch.resultOffset)
    }

    /// The bytes of a buffer after the calls.
    public func bytes(of buffer: Batch.Buffer) -> [UInt8] {
        let start = batch.recordsSize + buffer.offset
        return Array(bytes[start..<start + buffer.count])
    }

    /// An integer within a buffer.
    public func integer<T: FixedWidthInteger>(_ type: T.Type, in buffer: Batch.Buffer, at offset: Int = 0) -> T {
        bytes.littleEndian(type, at: batch.recordsSize + buffer.offset + offset)
    }

    /// - Throws: `remote-call-failed`, naming the call that failed, what for, and the error.
    public func check() throws(Problem) {
        guard let failedCall else { return }
        let call = batch.calls[failedCall]
        let error = Errno(rawValue: Int32(truncatingIfNeeded: -self[failedCall]))
        throw Problem(
            .remoteCallFailed,
            call.purpose.isEmpty ? "a system call in the process failed" : "cannot \(call.purpose)",
            object: .init(pid: pid), cause: .init(error, attempted: "system call \(call.number) in process \(pid)"),
            remedy: "Run `apus check` to see whether the kernel lacks something")
    }
}
