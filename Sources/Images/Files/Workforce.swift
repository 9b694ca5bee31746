/// Who does work that falls into parts which have nothing to do with each other: the parts of an image directory are thousands of
/// files at times. This module starts no threads; whoever uses it may bring some.
public protocol Workforce: Sendable {
    /// What the body says of each number from 0 to below `count`, in their order.
    ///
    /// - Parameter body: called for each number once, by any thread.
    func map<Part: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Part) -> [Part]
}

/// The thread that asks, alone.
public struct SingleWorker: Workforce {
    public init() {}

    public func map<Part: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Part) -> [Part] { (0..<count).map(body) }
}

extension Workforce {
    /// The same with parts that may fail.
    ///
    /// - Throws: what the first of those that failed throws, in the order of their numbers.
    func map<Part: Sendable, Failure: Error>(
        _ count: Int, throwing body: @Sendable (Int) throws(Failure) -> Part
    ) throws(Failure) -> [Part] {
        let results = map(count) { number in Result { () throws(Failure) in try body(number) } }
        var parts: [Part] = []
        parts.reserveCapacity(count)
        for result in results { parts.append(try result.get()) }
        return parts
    }
}
