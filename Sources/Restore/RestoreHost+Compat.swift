internal import Diagnostics
internal import Glibc
internal import Images
internal import Linux
internal import Tracing

extension RestoreHost {
    /// This host's, with what the images need to know of it besides.
    static func current(for images: CheckpointImages) throws(Problem) -> RestoreHost {
        var host = try current()
        let hasCompat = images.tasks.contains { task in
            task.threads.contains { $0.core.threadInfo.gpregs.mode == .compat }
        }
        if hasCompat { host.compatVdso = lookUpCompatVdso(dataLength: host.vvar.reduce(0, +)) }
        return host
    }

    /// The bytes of this kernel's 32-bit vdso; nil where it runs no 32-bit programs.
    private static func lookUpCompatVdso(dataLength: UInt64) -> [UInt8]? {
        let areas = (try? ProcessDirectory(getpid()).maps()) ?? []
        let own = areas.filter { $0.name.isKernelProvided && $0.name != .vsyscall }
        guard let first = own.first?.range.lowerBound, let end = own.last?.range.upperBound else { return nil }
        return CompatVdso.bytes(own: first..<end, dataLength: dataLength)
    }
}
