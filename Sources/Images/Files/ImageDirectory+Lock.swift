public import Diagnostics
internal import SystemPackage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension ImageDirectory {
    /// Keeps others from writing into the directory, for as long as this object lives (flock(2)): a dump takes it for
    /// itself, a restore shares it with other restores.
    ///
    /// - Throws: `image-busy` where a dump (or, for an exclusive lock, a restore) is under way there.
    public func lock(exclusively: Bool) throws(Problem) {
        guard flock(descriptor, (exclusively ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 else { return }
        let error = Errno(rawValue: errno)
        // Some network file systems have no such locks: nothing can be done there.
        guard error == .wouldBlock else { return }
        throw .image(
            .imageBusy, path, "another dump or restore is at work in the image directory",
            cause: .init(error, attempted: "flock(\"\(path)\")"),
            remedy: "Wait for its end, or name another directory with --images-dir")
    }

    /// Gives the lock back before the directory is closed: who waits for the end of a restored program no longer reads
    /// its images, and it may be dumped into the same directory again.
    public func unlock() { _ = flock(descriptor, LOCK_UN) }
}
