internal import Synchronization

/// A value that a closure of another thread sets.
final class Measure: Sendable {
    private let stored = Mutex<UInt64>(0)
    func set(_ value: UInt64) { stored.withLock { $0 = value } }
    var value: UInt64 { stored.withLock { $0 } }
}
