internal import Diagnostics

/// How a bundle is compressed.
public enum Compression: Sendable, Equatable {
    case none
    case lz4
    /// Zstandard, at a level from 1 (fast) to 19 (small).
    case zstd(level: Int32)

    /// What is taken where nothing is said: the library's own default level.
    public static let usual = Compression.zstd(level: 3)

    /// The compression of this name: `none`, `lz4`, `zstd` or `zstd:LEVEL`; nil for any other.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts[0], parts.count) {
        case ("none", 1): self = .none
        case ("lz4", 1): self = .lz4
        case ("zstd", 1): self = .usual
        case ("zstd", 2):
            guard let level = Int32(parts[1]), (1...19).contains(level) else { return nil }
            self = .zstd(level: level)
        default: return nil
        }
    }

    /// A stage that compresses what goes into the sink.
    func sink(into next: any ByteSink) throws(Problem) -> any ByteSink {
        switch self {
        case .none: next
        case .lz4: try LZ4Sink(into: next)
        case .zstd(let level): ZstdSink(level: level, into: next)
        }
    }

    /// A stage that gives what was compressed, in whatever way its first bytes tell.
    static func source(of source: PeekedSource) throws(Problem) -> any ByteSource {
        switch try source.first(4) {
        case [0x28, 0xb5, 0x2f, 0xfd]: FrameSource(source, ZstdDecoder())
        case [0x04, 0x22, 0x4d, 0x18]: FrameSource(source, try LZ4Decoder())
        default: source
        }
    }
}
