internal import Linux
internal import SystemPackage

/// The build id of an ELF file (elf(5), NT_GNU_BUILD_ID): it tells two builds of a library apart whatever their sizes.
public enum BuildID {
    /// As images hold it: 32-bit words, little-endian. Empty where the file has none, or is no ELF file.
    static func words(of path: FilePath) -> [UInt32] {
        guard let file = try? Files.open(path, [.readOnly, .nonBlocking]),
            let bytes = bytes(in: file.raw).map(Array.init)
        else {
            return []
        }
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            var word: UInt32 = 0
            for (index, byte) in bytes[start..<min(start + 4, bytes.count)].enumerated() {
                word |= UInt32(byte) << UInt32(8 * index)
            }
            return word
        }
    }

    /// Of an open file; nil where it has none, or is no ELF file.
    public static func bytes(in file: Int32) -> ArraySlice<UInt8>? {
        // The headers and nearly always the notes too stand at the start of the file.
        guard let head = try? Files.read(file, count: 4096, at: 0), head.count >= 64,
            head.starts(with: [0x7f, 0x45, 0x4c, 0x46]), head[4] == 2, head[5] == 1
        else { return nil }
        let table = Int(clamping: number(head, 32, 8))
        let (size, count) = (Int(number(head, 54, 2)), Int(number(head, 56, 2)))
        guard size >= 56 else { return nil }
        for index in 0..<count {
            let start = table + index * size
            guard start >= 0, start + 56 <= head.count else { return nil }
            let isNote = number(head, start, 4) == 4
            let (offset, length) = (number(head, start + 8, 8), number(head, start + 32, 8))
            guard isNote, length <= 1 << 16, offset <= UInt64(Int64.max) else { continue }
            let notes: [UInt8]
            if offset + length <= UInt64(head.count) {
                notes = Array(head[Int(offset)..<Int(offset + length)])
            } else {
                guard let read = try? Files.read(file, count: Int(length), at: offset) else { continue }
                notes = read
            }
            if let id = find(in: notes) { return id }
        }
        return nil
    }

    /// Notes: the sizes of name and content, a type, the name and the content, each padded to four bytes.
    static func find(in notes: [UInt8]) -> ArraySlice<UInt8>? {
        var start = 0
        while start + 12 <= notes.count {
            let nameSize = Int(number(notes, start, 4))
            let size = Int(number(notes, start + 4, 4))
            let type = number(notes, start + 8, 4)
            let name = start + 12
            let content = name + (nameSize + 3) & ~3
            guard content <= notes.count, size <= notes.count - content else { return nil }
            if type == 3 && nameSize == 4 && notes[name..<name + 3].elementsEqual("GNU".utf8) {
                return notes[content..<content + size]
            }
            start = content + (size + 3) & ~3
        }
        return nil
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(bytes[offset + $1]) }
    }
}
