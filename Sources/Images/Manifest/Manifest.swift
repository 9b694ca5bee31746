/// `manifest.json`, which Apus adds to an image directory and others pass over: what the directory holds, where it comes
/// from, and which files of that host its processes need.
public struct Manifest: Sendable, Equatable {
    /// The name of the file.
    public static let fileName = "manifest.json"
    /// The version that this Apus writes, and the newest that it understands.
    public static let currentVersion: UInt32 = 1

    /// Raised when a reader of the old version would misunderstand the new one.
    public var formatVersion: UInt32 = Manifest.currentVersion
    /// The version of Apus that wrote the images.
    public var toolVersion = ""
    /// When the dump was committed, in seconds since 1970, UTC.
    public var created: Int64 = 0
    /// The host of the dump; nil in images of older versions.
    public var host: HostRecord?
    /// The first process of the tree; nil in images of older versions.
    public var root: ManifestRoot?
    /// Every image file of the directory, sorted by name.
    public var files: [ManifestFile] = []
    /// The files of the host that the tree has open, mapped, executes or stands in, sorted by path.
    public var needed: [NeededFile] = []

    public init() {}
}

/// By what the first process of a tree is told from others that have had its pid.
public struct ManifestRoot: Sendable, Equatable {
    /// When it was started, in ticks since the start of the host (proc_pid_stat(5)).
    public var start: UInt64
    /// The run of the kernel (random(4), boot_id).
    public var boot: String
    /// Of its first thread (proc_pid_comm(5)); what is no UTF-8 in it is replaced.
    public var name: String

    public init(start: UInt64, boot: String, name: String) {
        (self.start, self.boot, self.name) = (start, boot, name)
    }
}

/// An image file.
public struct ManifestFile: Sendable, Equatable {
    public var name: String
    /// In bytes.
    public var size: UInt64
    /// Of the whole content; nil until it is known (see ``ImageDirectory/seal(_:while:)``), and in older images.
    public var digest: ImageDigest?

    public init(name: String, size: UInt64, digest: ImageDigest? = nil) {
        (self.name, self.size, self.digest) = (name, size, digest)
    }
}

/// What the host of the dump was.
public struct HostRecord: Sendable, Equatable {
    /// uname(2).
    public var node, kernel, kernelVersion, architecture: String
    /// PRETTY_NAME of os-release(5); empty where the host does not say.
    public var distribution: String
    /// In bytes.
    public var pageSize: UInt64
    public var processor: Processor
    public var clock: Clock

    /// The processor as `/proc/cpuinfo` has it.
    public struct Processor: Sendable, Equatable {
        public var vendor, model: String
        /// Its flags, sorted.
        public var features: [String]
        /// The components of the extended state that the kernel has turned on (XCR0), and the bytes of all.
        public var stateFeatures: UInt64
        public var stateSize: UInt64
        /// What the whole tree was kept to when it was started; nil where it could use all that there was.
        public var level: ProcessorLevel?

        public init(vendor: String, model: String, features: [String], stateFeatures: UInt64, stateSize: UInt64) {
            (self.vendor, self.model, self.features) = (vendor, model, features)
            (self.stateFeatures, self.stateSize) = (stateFeatures, stateSize)
        }
    }

    /// The clocks at the dump, in nanoseconds, and what the kernel takes the time from.
    public struct Clock: Sendable, Equatable {
        public var source: String
        public var realTime, monotonic, bootTime: UInt64

        public init(source: String, realTime: UInt64, monotonic: UInt64, bootTime: UInt64) {
            self.source = source
            (self.realTime, self.monotonic, self.bootTime) = (realTime, monotonic, bootTime)
        }
    }

    public init(
        node: String, kernel: String, kernelVersion: String, architecture: String, distribution: String,
        pageSize: UInt64, processor: Processor, clock: Clock
    ) {
        (self.node, self.kernel, self.kernelVersion) = (node, kernel, kernelVersion)
        (self.architecture, self.distribution, self.pageSize) = (architecture, distribution, pageSize)
        (self.processor, self.clock) = (processor, clock)
    }
}
