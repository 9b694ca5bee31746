import Glibc

/// All bytes of an open file, from its beginning.
func bytes(of descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = unsafe pread(descriptor, &block, block.count, off_t(all.count))
        if count <= 0 { return all }
        all += block[..<count]
    }
}

/// All bytes of a file; nil where it cannot be read. Files of /proc are read from one end to the other.
func bytes(at path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return nil }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = unsafe read(descriptor, &block, block.count)
        if count < 0 { return nil }
        if count == 0 { return all }
        all += block[..<count]
    }
}

func contents(of descriptor: Int32) -> String { String(decoding: bytes(of: descriptor), as: UTF8.self) }

/// A file as text, empty where there is none.
func text(_ path: String) -> String { String(decoding: bytes(at: path) ?? [], as: UTF8.self) }

/// The lines of a file, as LF or CR and LF end them, without a last one that is not complete yet.
func lines(_ path: String) -> [String] {
    // By bytes: as characters, CR and LF are one that is not LF.
    (bytes(at: path) ?? []).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().map {
        String(decoding: $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0, as: UTF8.self)
    }
}

func write(_ text: String, to path: String, mode: mode_t = 0o644) throws(Failed) {
    try write(Array(text.utf8), to: path, mode: mode)
}

func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(Failed) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    if descriptor < 0 { throw Failed("\(path): errno \(errno)") }
    defer { close(descriptor) }
    if unsafe Glibc.write(descriptor, bytes, bytes.count) != bytes.count { throw Failed("\(path): errno \(errno)") }
}

/// Where a symbolic link points; nil where there is none.
func target(of path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe readlink(path, &buffer, buffer.count)
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
}

/// The names in a directory, sorted; empty where there is none.
func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

/// Every file below a directory with its size, to see whether something was left behind.
func listing(_ path: String) -> [String] {
    names(in: path).flatMap { name -> [String] in
        let inner = path + "/" + name
        var status = stat()
        guard unsafe lstat(inner, &status) == 0 else { return [] }
        if status.st_mode & S_IFMT == S_IFDIR { return [inner + "/"] + listing(inner) }
        return ["\(inner) \(status.st_size)"]
    }
}
