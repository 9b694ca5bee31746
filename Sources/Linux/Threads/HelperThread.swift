internal import CLinux
internal import Glibc

/// A thread beside the one that traces, for work that needs no tracer: reading `/proc`, writing images, planning.
///
/// It has all signals blocked: they are for the thread that traces, which waits for them (`ChildSignal`), and whose
/// blocking calls they are to interrupt (`Cancellation`).
public struct HelperThread: ~Copyable {
    private let thread: pthread_t

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Starts a thread.
    ///
    /// - Returns: nil where the kernel gives none (a limit of processes or memory): do the work yourself then.
    public init?(_ body: @escaping @Sendable () -> Void) {
        var (all, before) = (sigset_t(), sigset_t())
        // unsafe: sets of signals by pointers to locals, here and below.
        _ = unsafe sigfillset(&all)
        _ = unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { _ = unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        // Kept alive until the thread has taken it over, or has not come to be.
        let work = unsafe Unmanaged.passRetained(Work(body))
        // As large as that of the first thread usually is; without a limit for that one, others would get a quarter.
        var attributes = pthread_attr_t()
        _ = unsafe pthread_attr_init(&attributes)
        defer { _ = unsafe pthread_attr_destroy(&attributes) }
        _ = unsafe pthread_attr_setstacksize(&attributes, 8 << 20)
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, work.toOpaque())
        guard result == 0 else {
            unsafe work.release()
            return nil
        }
        self.thread = thread
    }

    /// Waits for its end.
    public consuming func join() { _ = pthread_join(thread, nil) }

    /// Leaves it alone: it has to keep alive what it uses, and may be cut off at any moment by the end of Apus.
    public consuming func detach() { _ = pthread_detach(thread) }
}

/// A count that threads wait for (sem_overview(7)).
@safe public final class Semaphore: Sendable {
    // unsafe: allocated once, freed with the last reference, and made for use by several threads.
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    public init(_ count: UInt32 = 0) {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe sem_init(semaphore, 0, count)
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    public func signal() { unsafe sem_post(semaphore) }

    /// Waits until the count is above zero, and takes one of it.
    public func wait() {
        while unsafe sem_wait(semaphore) != 0 && errno == EINTR {}
    }

    /// Waits until the count is above zero, and takes one of it; or until the time is over.
    ///
    /// - Returns: false where the time is over.
    public func wait(nanoseconds: UInt64) -> Bool {
        var limit = timespec()
        // unsafe: a pointer to a local, here and below.
        _ = unsafe clock_gettime(CLOCK_REALTIME, &limit)
        let end = UInt64(limit.tv_nsec) + nanoseconds
        limit.tv_sec += Int(end / 1_000_000_000)
        limit.tv_nsec = Int(end % 1_000_000_000)
        while true {
            if unsafe sem_timedwait(semaphore, &limit) == 0 { return true }
            if errno != EINTR { return false }
        }
    }
}
