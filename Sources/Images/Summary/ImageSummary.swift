public import Diagnostics
public import ImageMessages
public import SystemPackage

/// What is in an image directory, as a person wants to know it. Pure data: `apus show` gives it a face.
public struct ImageSummary: Sendable {
    public var directory: FilePath
    /// The version of Apus that wrote the images; nil for another tool.
    public var toolVersion: String?
    /// When the dump was committed, in seconds since 1970; nil where nothing recorded it.
    public var created: Int64?
    /// The processor that the tasks ran on.
    public var architecture: CoreEntry.March
    /// How many image files there are, and their size in bytes.
    public var fileCount: Int
    public var fileSize: UInt64
    /// How many directories this one builds upon.
    public var parentCount: Int
    /// Shared memory objects, whose pages are stored once and not with any task.
    public var sharedObjects: Int
    public var sharedStored: UInt64
    /// Each task followed by its descendants.
    public var tasks: [TaskSummary]

    /// Reads a directory, of any processor.
    ///
    /// - Throws: as `CheckpointImages.init(reading:architecture:)`.
    public init(of directory: ImageDirectory) throws(Problems) {
        let layers: PageLayers
        do throws(Problem) {
            architecture = try directory.architecture()
            layers = try PageLayers(of: directory)
            (fileCount, fileSize) = try directory.extent()
            (sharedObjects, sharedStored) = try directory.sharedMemory()
        } catch {
            throw Problems(error)
        }
        let images = try CheckpointImages(reading: directory, architecture: architecture)
        self.directory = directory.path
        toolVersion = images.manifest?.toolVersion
        created = images.manifest?.created
        parentCount = layers.directories.count - 1
        tasks = []
        tasks = Self.ordered(images.tasks).map { (task, branches) in
            TaskSummary(task, branches: branches, SummaryContext(images: images, layers: layers))
        }
    }

    /// Each task followed by its descendants. Without recursion: a tree from an image may be of any depth.
    private static func ordered(_ tasks: [TaskImages]) -> [(task: TaskImages, branches: [Bool])] {
        let children = Dictionary(grouping: tasks, by: \.parent)
        var ordered: [(task: TaskImages, branches: [Bool])] = []
        var waiting: [(task: TaskImages, branches: [Bool])] = []
        func push(_ siblings: [TaskImages], _ branches: [Bool]) {
            for (index, task) in siblings.enumerated().reversed() {
                waiting.append((task, branches + [index + 1 < siblings.count]))
            }
        }
        push(children[0] ?? [], [])
        while let next = waiting.popLast() {
            ordered.append(next)
            push(children[next.task.pid] ?? [], next.branches)
        }
        return ordered
    }
}

/// Where the summaries of tasks take what they say from.
struct SummaryContext {
    let images: CheckpointImages
    let layers: PageLayers
}

extension ImageDirectory {
    fileprivate func architecture() throws(Problem) -> CoreEntry.March {
        _ = try inventory()
        return try required(.core, id: UInt64(tree()[0].pid)).mtype
    }

    fileprivate func sharedMemory() throws(Problem) -> (count: Int, stored: UInt64) {
        var count = 0
        var stored: UInt64 = 0
        for name in try fileNames() {
            guard let id = ImageKind.shmemPagemap.layout.id(inFileName: name),
                let map = try pagemap(.shmemPagemap, id: id)
            else { continue }
            count += 1
            stored += map.storedSize
        }
        return (count, stored)
    }

    fileprivate func extent() throws(Problem) -> (count: Int, size: UInt64) {
        var count = 0
        var size: UInt64 = 0
        for name in try fileNames() where name.hasSuffix(".img") {
            guard let file = try file(named: name) else { continue }
            count += 1
            size += file.size
        }
        return (count, size)
    }
}
