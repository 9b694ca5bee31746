internal import CLinux
internal import Glibc
internal import Synchronization

/// Has the kernel begin to write a growing file to its disk while it grows (sync_file_range(2)), so that whoever waits for the
/// disk in the end waits for the rest.
///
/// The call may wait for a busy disk, and so a thread of its own makes it, for which nobody waits. It is a wish: nothing depends on
/// it, and where it cannot be fulfilled the end takes longer.
public final class Writeback: Sendable {
    private final class State: Sendable {
        let file: OwnedDescriptor
        let end = Atomic<UInt64>(0)
        let isOver = Atomic(false)
        let news = Semaphore()

        init(_ file: consuming OwnedDescriptor) { self.file = file }

        func run() {
            let write: UInt = 2  // SYNC_FILE_RANGE_WRITE
            var begun: UInt64 = 0
            while true {
                news.wait()
                if isOver.load(ordering: .acquiring) { return }
                // A piece at a time: nobody may want the rest any more when the disk has taken one.
                while !isOver.load(ordering: .acquiring), case let end = end.load(ordering: .acquiring), begun < end {
                    let size = min(end - begun, Writeback.step)
                    _ = try? call(Int(SYS_sync_file_range), UInt(signed: file.raw), UInt(begun), UInt(size), write)
                    begun += size
                }
            }
        }
    }

    /// What the thread knows, once there is something to do for it, and up to where the file has to be filled until then.
    private struct Work {
        var state: State?
        var next = Writeback.step
    }

    /// So many bytes are begun with at a time.
    private static let step: UInt64 = 8 << 20

    private let work = Mutex(Work())
    private let file: Int32

    /// - Parameter file: is open whenever `isFilled` is called.
    public init(of file: Int32) { self.file = file }

    /// Takes note that the file is filled up to a place, by whoever fills it: it takes no time.
    public func isFilled(to position: UInt64) {
        work.withLock { work in
            guard position >= work.next else { return }
            work.next = position + Self.step
            if work.state == nil, let copy = try? Files.duplicate(file, from: 3) {
                let state = State(copy)
                work.state = state
                HelperThread { state.run() }?.detach()
            }
            work.state?.end.store(position, ordering: .releasing)
            work.state?.news.signal()
        }
    }

    deinit {
        work.withLock { work in
            work.state?.isOver.store(true, ordering: .releasing)
            work.state?.news.signal()
        }
    }
}
