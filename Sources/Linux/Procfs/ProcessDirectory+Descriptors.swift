internal import CLinux
internal import Glibc
internal import SystemPackage

// What `/proc` tells of one descriptor. There may be many thousands, and a FilePath is examined letter by letter whenever
// something is appended to it: these paths are put together as bytes, and are FilePaths in errors alone.

extension ProcessDirectory {
    /// What a descriptor refers to: a path, `pipe:[123]`, `anon_inode:[eventfd]`, ...
    public func descriptorLink(_ descriptor: Int32) throws(ProcfsError) -> [UInt8] {
        do throws(Errno) {
            return try Files.readLink(terminated: place("fd", descriptor))
        } catch {
            throw ProcfsError(file: path.appending("fd/\(descriptor)"), reason: .unreadable(error))
        }
    }

    public func descriptorInfo(_ descriptor: Int32) throws(ProcfsError) -> DescriptorInfo {
        let text: [UInt8]
        do throws(Errno) {
            let file = try Files.open(terminated: place("fdinfo", descriptor), .readOnly)
            text = try Files.readAll(file.raw)
        } catch {
            throw ProcfsError(file: path.appending("fdinfo/\(descriptor)"), reason: .unreadable(error))
        }
        do throws(ProcfsError) {
            return try DescriptorInfo(parsing: text, file: path)
        } catch {
            var named = error
            named.file = path.appending("fdinfo/\(descriptor)")
            throw named
        }
    }

    /// Of what a descriptor refers to: the link of `/proc` leads to the object itself, sockets and deleted files included.
    public func descriptorStatus(_ descriptor: Int32) throws(ProcfsError) -> FileStatus {
        do throws(Errno) {
            return try Files.status(terminated: place("fd", descriptor))
        } catch {
            throw ProcfsError(file: path.appending("fd/\(descriptor)"), reason: .unreadable(error))
        }
    }

    /// With a NUL at its end.
    private func place(_ directory: String, _ descriptor: Int32) -> [UInt8] {
        path.bytes + Array("/\(directory)/\(descriptor)\0".utf8)
    }
}
