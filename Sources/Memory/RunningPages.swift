public import Diagnostics
internal import Images
internal import Linux
internal import SystemPackage
internal import Tracing

/// Pages of a process that runs on: each is as it was at some moment since it was asked for.
public final class RunningPages: PageSource {
    private let pid: Int32
    /// What could not be read, because it has been unmapped since or for another reason: zeros were given in its place.
    public private(set) var unread: [Range<UInt64>] = []

    /// - Parameter pid: a process, or one of its threads.
    public init(_ pid: Int32) { self.pid = pid }

    public func runs() throws(Problem) -> [StoredRun] { [] }

    @unsafe public func read(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        do throws(RemoteMemory.Failure) {
            let list = pieces.map { RemoteMemory.Piece(address: $0.address, count: Int($0.size)) }
            try unsafe RemoteMemory.read(pid, pieces: list, into: buffer)
        } catch {
            // Memory that the process itself may not read stops the fast way (EFAULT); this one reads all that can be read.
            try unsafe readOneByOne(pieces, into: buffer)
        }
    }

    private func readOneByOne(_ pieces: [StoredRun], into buffer: UnsafeMutableRawBufferPointer) throws(Problem) {
        let memory = try ProcessMemory(pid: pid)
        let size = Int(Pagemap.pageSize)
        var filled = 0
        for piece in pieces {
            for address in stride(from: piece.address, to: piece.address + piece.size, by: size) {
                // The pieces fill the buffer exactly, page by page: the caller has laid them out so.
                let page = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + size])
                if (try? unsafe memory.read(RemoteAddress(address), into: page)) != size {
                    unsafe page.initializeMemory(as: UInt8.self, repeating: 0)
                    unread.append(address..<address + Pagemap.pageSize)
                }
                filled += size
            }
        }
    }
}

@available(*, unavailable)
extension RunningPages: Sendable {}
