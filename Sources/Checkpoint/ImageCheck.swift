internal import Diagnostics
internal import Images
internal import Linux
internal import Synchronization

/// The question whether images could be restored, asked by a thread of its own while pages are still written into them.
///
/// `finish` tells the answer. Without it the thread comes to its end as soon as it would look at pages.
final class ImageCheck {
    private final class State: Sendable {
        let pagesStand = Semaphore()
        let isAbandoned = Atomic(false)
    }

    private let state = State()
    private let errand: Errand<Result<Void, any Error>>

    /// Begins: every image is there but page maps and pages.
    init(of directory: ImageDirectory, _ inventory: InventoryEntry, by verify: @escaping DumpOptions.Verification) {
        let state = state
        errand = Errand {
            Result {
                try verify(directory, inventory) { () throws(Problem) in
                    state.pagesStand.wait()
                    // Nobody wants to know any more.
                    if state.isAbandoned.load(ordering: .relaxed) {
                        throw Problem(.interrupted, "the images are not checked to the end", remedy: "")
                    }
                }
            }
        }
    }

    /// Waits for the answer. All pages are written.
    ///
    /// - Throws: why they could not be restored.
    func finish() throws {
        state.pagesStand.signal()
        try errand.result.get()
    }

    deinit {
        // After `finish` nobody hears this.
        state.isAbandoned.store(true, ordering: .relaxed)
        state.pagesStand.signal()
    }
}
