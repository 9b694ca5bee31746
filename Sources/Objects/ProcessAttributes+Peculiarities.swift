internal import CLinux
public import Tracing

extension ProcessAttributes {
    /// What only the process itself can tell, and hardly ever has.
    public struct Peculiarities: Sendable {
        public var settings: ProcessSettings
        /// It has segments of its own (modify_ldt(2)), without which it would crash.
        public var hasSegments: Bool

        /// The questions of one batch.
        public struct Questions: Sendable {
            let settings: ProcessSettings.Questions
            let segments: Int

            public init(_ batch: inout Batch) {
                settings = ProcessSettings.Questions(&batch)
                let table = batch.space(64)
                segments = batch.call(
                    Int(SYS_modify_ldt), 0, .address(table), 64, expecting: Batch.anything, for: "read its segments")
            }

            public func answer(_ result: BatchResult) -> Peculiarities {
                Peculiarities(
                    settings: settings.answer(result),
                    hasSegments: result[segments] > 0 && Int32(truncatingIfNeeded: result[segments]) > 0)
            }
        }
    }
}
