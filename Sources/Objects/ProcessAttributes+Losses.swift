internal import CLinux
public import Tracing

extension ProcessAttributes {
    /// Settings that only the process itself can tell, that the images have no place for, and that are hardly ever made.
    public struct Peculiarities: Sendable {
        /// What a restored process does without, in words.
        public var losses: [String] = []
        /// It has segments of its own (modify_ldt(2)), without which it would crash.
        public var hasSegments = false

        /// A setting of prctl(2) that answers by its result: its number, what it usually is, and what is lost with another.
        private static let settings: [(number: Int, usual: Int64, loss: String)] = [
            (34, 2, "how it learns of broken memory (PR_MCE_KILL) is not carried"),
            (58, 0, "that it is part of the way to a disk (PR_SET_IO_FLUSHER) is not carried"),
            (66, 0, "that it may not make memory executable (PR_SET_MDWE) is not carried"),
            (68, 0, "that all its memory may be merged (PR_SET_MEMORY_MERGE) is not carried"),
        ]
        private static let getTimeStampCounter = 25

        /// The questions of one batch. A kernel that does not know one of them has no such setting.
        public struct Questions: Sendable {
            let settings: [Int]
            let counter: Batch.Buffer
            let segments: Int

            public init(_ batch: inout Batch) {
                settings = Peculiarities.settings.map { setting in
                    batch.call(
                        Int(SYS_prctl), .int(setting.number), 0, 0, 0, 0, expecting: Batch.anything,
                        for: "read a setting")
                }
                counter = batch.space(8)
                batch.call(
                    Int(SYS_prctl), .int(Peculiarities.getTimeStampCounter), .address(counter),
                    expecting: Batch.anything, for: "read whether it may read the time stamp counter")
                let table = batch.space(64)
                segments = batch.call(
                    Int(SYS_modify_ldt), 0, .address(table), 64, expecting: Batch.anything, for: "read its segments")
            }

            public func answer(_ result: BatchResult) -> Peculiarities {
                var found = Peculiarities()
                for (index, setting) in zip(settings, Peculiarities.settings)
                where result[index] >= 0 && result[index] != setting.usual {
                    found.losses.append(setting.loss)
                }
                // PR_TSC_SIGSEGV
                if result.integer(Int32.self, in: counter) == 2 {
                    found.losses.append("that it may not read the time stamp counter (PR_SET_TSC) is not carried")
                }
                found.hasSegments = result[segments] > 0 && Int32(truncatingIfNeeded: result[segments]) > 0
                return found
            }
        }
    }
}
