internal import Diagnostics
internal import Images
internal import Linux
internal import Synchronization

/// The check of large images against the digests in the manifest: on a thread of its own, while the tree is being rebuilt,
/// and over before any of it runs.
final class ContentCheck: Sendable {
    private let found = Mutex<[Problem]?>(nil)
    private let done = Semaphore()
    private let isWanted = Atomic(true)

    /// Begins to read.
    ///
    /// - Parameter besides: on a thread of its own; otherwise all is read when this returns.
    init(_ directory: ImageDirectory, _ manifest: Manifest?, besides: Bool) {
        guard let manifest else {
            found.withLock { $0 = [] }
            return
        }
        let work: @Sendable () -> Void = { [self] in
            let problems = directory.contentDifferences(
                from: manifest, while: { isWanted.load(ordering: .relaxed) && !Cancellation.requested })
            found.withLock { $0 = problems }
            done.signal()
        }
        // It ends by itself, or when it is told to, and nobody needs its result then.
        if !besides || HelperThread(work) == nil { work() }
    }

    /// Waits for the result.
    ///
    /// - Throws: `image-changed` for an image whose content is not what it was.
    func finish() throws(Problem) {
        if found.withLock({ $0 }) == nil { done.wait() }
        if let problem = found.withLock({ $0?.first }) { throw problem }
    }

    /// The restore is over: what is read yet does not matter.
    func abandon() { isWanted.store(false, ordering: .relaxed) }
}
