public import SystemPackage

extension FilePath {
    /// A path from the kernel's bytes, which need not be UTF-8.
    ///
    /// A NUL ends it, as it does for the kernel. Repeated and trailing slashes are dropped, as FilePath always does;
    /// where the exact bytes matter (the text of a symbolic link), keep the bytes.
    public init(bytes: some Sequence<UInt8>) {
        var characters = bytes.prefix { $0 != 0 }.map { CInterop.PlatformChar(bitPattern: $0) }
        characters.append(0)
        self.init(platformString: characters)
    }

    /// The path's bytes, without a NUL at the end.
    public var bytes: [UInt8] {
        unsafe withPlatformString { pointer in
            // The string ends in a NUL, and lives as long as the closure.
            var bytes: [UInt8] = []
            var next = unsafe pointer
            while unsafe next.pointee != 0 {
                unsafe bytes.append(UInt8(bitPattern: next.pointee))
                unsafe next += 1
            }
            return bytes
        }
    }
}
