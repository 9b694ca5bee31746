public import Images
internal import Linux

/// As many threads as there are processors for Apus, for the work at image directories (``Workers``).
public struct AllProcessors: Workforce {
    public init() {}

    public func map<Part: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Part) -> [Part] {
        Workers.map(count, body)
    }
}
