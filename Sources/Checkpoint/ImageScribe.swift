internal import Diagnostics
internal import Images
internal import Linux
internal import Synchronization

/// A thread that writes the images of processes, in the order in which it gets them, while the thread that traces asks the next
/// processes.
///
/// `finish` or `abandon` has to be called: until then files may come to be in the directory.
final class ImageScribe {
    private final class State: Sendable {
        let directory: ImageDirectory
        let queue = Mutex<[ProcessImages?]>([])
        let isFilled = Semaphore()
        let isFree = Semaphore(ImageScribe.capacity)
        let failure = Mutex<Problem?>(nil)

        init(_ directory: ImageDirectory) { self.directory = directory }

        func run() {
            while true {
                isFilled.wait()
                guard let images = queue.withLock({ $0.removeFirst() }) else { return }
                if failure.withLock({ $0 == nil }) {
                    do throws(Problem) { try images.write(to: directory) } catch {
                        failure.withLock { [error] in $0 = error }
                    }
                }
                isFree.signal()
            }
        }
    }

    /// How many processes may wait to be written.
    private static let capacity: UInt32 = 64

    private let state: State
    /// nil where there is no thread to be had: then everything is written at once.
    private var thread: HelperThread?

    init(_ directory: ImageDirectory) {
        let state = State(directory)
        self.state = state
        thread = HelperThread { state.run() }
    }

    /// Takes the images of one more process.
    ///
    /// - Throws: `image-unwritable` where those of an earlier one could not be written.
    func take(_ images: ProcessImages) throws(Problem) {
        if thread == nil { return try images.write(to: state.directory) }
        state.isFree.wait()
        if let failure = state.failure.withLock({ $0 }) { throw failure }
        state.queue.withLock { $0.append(images) }
        state.isFilled.signal()
    }

    /// Waits until everything is written.
    ///
    /// - Throws: as `take`.
    func finish() throws(Problem) {
        end()
        if let failure = state.failure.withLock({ $0 }) { throw failure }
    }

    /// Ends the thread: what it has not written yet is not wanted any more.
    func abandon() {
        // In one go: the thread may be about to take the next.
        state.queue.withLock { $0 = [nil] }
        end()
    }

    private func end() {
        guard let thread = thread.take() else { return }
        state.queue.withLock { $0.append(nil) }
        state.isFilled.signal()
        thread.join()
    }
}

@available(*, unavailable)
extension ImageScribe: Sendable {}
