public import Diagnostics
internal import Images
internal import Linux
public import SystemPackage
internal import Tracing

/// The pages of an object of shared memory, whoever has touched them.
public final class SharedPages: PageSource {
    private let file: OwnedDescriptor
    private let place: FilePath
    private let size: UInt64

    /// - Parameters:
    ///   - place: where the object can be opened: in `/proc/PID/map_files` or `/proc/PID/fd`.
    ///   - size: in bytes.
    public init(_ place: FilePath, size: UInt64) throws(Problem) {
        self.place = place
        self.size = size
        do throws(Errno) {
            file = try Files.open(place, .readOnly)
        } catch {
            throw Self.unreadable(place, error, "open(\"\(place)\")")
        }
    }

    public func runs() throws(Problem) -> [StoredRun] {
        var runs: [StoredRun] = []
        var position: UInt64 = 0
        let (data, hole): (Int32, Int32) = (3, 4)
        do throws(Errno) {
            while position < size {
                let start: UInt64
                do throws(Errno) {
                    start = try Files.seek(file.raw, to: Int64(position), whence: data)
                } catch {
                    // ENXIO: nothing but a hole is left.
                    if error == Errno(rawValue: 6) { break }
                    throw error
                }
                let end = try Files.seek(file.raw, to: Int64(start), whence: hole)
                let aligned = (end + Pagemap.pageSize - 1) / Pagemap.pageSize * Pagemap.pageSize
                runs.append(StoredRun(address: start, size: aligned - start, flags: .isPresent))
                position = aligned
            }
        } catch {
            throw Self.unreadable(place, error, "lseek(SEEK_DATA)")
        }
        return runs
    }

    @unsafe public func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        var filled = 0
        for piece in pieces {
            let count = Int(piece.size)
            // The pieces fill the buffer exactly: the caller has laid them out so.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
            do throws(Errno) {
                let got = try unsafe Files.read(file.raw, into: part, at: piece.address)
                // The last page may reach beyond the end of the file.
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: part[got...])
                unsafe rest.initializeMemory(as: UInt8.self, repeating: 0)
            } catch {
                throw Self.unreadable(place, error, "pread")
            }
            filled += count
        }
    }

    private static func unreadable(_ place: FilePath, _ error: Errno, _ attempted: String) -> Problem {
        Problem(
            .memoryUnreachable, "shared memory cannot be read", object: .init(path: place.string),
            cause: .init(error, attempted: attempted), remedy: "Run Apus as root")
    }
}
